import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { extname, isAbsolute, join, relative, sep } from 'node:path';
import { CsvError, parse } from 'csv-parse';
import { LIST_COLUMNS, QueryListReader, type ListProblem, type QueryList } from './query-list.js';
import { parseYaml } from './yaml.js';

/** A job's input names the file, so it may be anything: these are not read at all. */
const MOST_BYTES = 300_000_000;
/** YAML takes its time, and nothing else is done meanwhile: this much is some seconds. */
const MOST_YAML_BYTES = 8_000_000;

/**
 * Reads a list of queries from a file below `folder`, symbolic links followed. Never throws for what a user can mend, and no
 * problem's text quotes the file: whoever may start jobs need not be allowed to read it.
 */
export async function readQueryFile(folder: string, file: string): Promise<QueryList> {
  const found = await locate(folder, file);
  if ('message' in found) return { tables: [], problems: [found] };
  const kind = extname(file).toLowerCase();
  if (kind === '.csv') return readCsv(found.path);
  return kind === '.json' ? readEntries(await jsonOf(found.path)) : readEntries(await yamlOf(found));
}

interface Located {
  readonly path: string;
  readonly bytes: number;
}

async function locate(folder: string, file: string): Promise<Located | ListProblem> {
  const outside = "it is not below the folder of the worker's longhaul.yaml";
  const fix = 'put the file beside longhaul.yaml and write its path from there';
  if (isAbsolute(file) || leaves(relative(folder, join(folder, file)))) return { message: outside, fix };
  try {
    const path = await realpath(join(folder, file));
    if (leaves(relative(await realpath(folder), path))) return { message: outside, fix };
    const { size: bytes } = await stat(path).then((found) => (found.isFile() ? found : Promise.reject(new Error())));
    return bytes <= MOST_BYTES ? { path, bytes } : { message: 'it has more than 300 MB', fix: 'make several of it' };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const missing = code === 'ENOENT' ? 'there is no such file beside longhaul.yaml' : 'it is no file that can be read';
    return { message: code === undefined || code === 'ENOENT' ? missing : `${missing} (${code})`, fix };
  }
}

/** Of a path from the folder on. */
function leaves(path: string): boolean {
  return path === '' || path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path);
}

/** With a header, as RFC 4180 has it; a row that is too short lacks its last values. */
async function readCsv(path: string): Promise<QueryList> {
  const reader = new QueryListReader('line');
  const rows = createReadStream(path).pipe(parse({ bom: true, info: true, relax_column_count: true }));
  let begun = false;
  let last = 1;
  try {
    for await (const { record, info } of rows as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      if (!begun && !reader.columns(record)) break;
      if (begun && !isBlank(record) && !reader.add(record, last)) break;
      begun = true;
      last = info.lines + 1;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = (error as CsvError & { lines?: number }).lines;
    reader.unreadable(`it is no CSV (${error.code})`, 'look for a quote that is not closed or not doubled', line);
  }
  return reader.end();
}

function isBlank(record: readonly string[]): boolean {
  return record.length === 1 && record[0] === '';
}

type Parsed = { readonly value: unknown } | ListProblem;

async function jsonOf(path: string): Promise<Parsed> {
  try {
    return { value: JSON.parse(await readFile(path, 'utf8')) as unknown };
  } catch (error) {
    // Its own message quotes the text.
    if (error instanceof SyntaxError) return { message: 'it is no JSON', fix: 'look for a missing quote or comma' };
    throw error;
  }
}

async function yamlOf({ path, bytes }: Located): Promise<Parsed> {
  if (bytes > MOST_YAML_BYTES) return { message: 'it is YAML of more than 8 MB', fix: 'write it as CSV or JSON' };
  const { value, problems } = parseYaml(await readFile(path, 'utf8'));
  const [first] = problems;
  if (first === undefined) return { value };
  return { message: `${first.path === '' ? '' : `${first.path}: `}${first.message}`, fix: first.fix ?? 'correct it' };
}

const ENTRIES = 'write [{query_id: …, table_name: …, query: …}, …]';

/** A list of objects, each with the three keys. */
function readEntries(parsed: Parsed): QueryList {
  if ('message' in parsed) return { tables: [], problems: [parsed] };
  const { value } = parsed;
  if (!Array.isArray(value)) return { tables: [], problems: [{ message: 'it is not a list', fix: ENTRIES }] };
  const reader = new QueryListReader('entry', 'entries');
  reader.columns(LIST_COLUMNS);
  for (const [index, entry] of (value as unknown[]).entries()) {
    const values = valuesOf(entry);
    if (values === undefined)
      reader.unreadable('a value is missing, or is neither a text nor a whole number', ENTRIES, index + 1);
    else if (!reader.add(values, index + 1)) break;
  }
  return reader.end();
}

function valuesOf(entry: unknown): string[] | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const byName = new Map(Object.entries(entry).map(([key, value]) => [key.trim().toLowerCase(), value as unknown]));
  const values = LIST_COLUMNS.map((name) => byName.get(name)).map(textOf);
  return values.every((value) => value !== undefined) ? values : undefined;
}

/** A number that JavaScript can't hold exactly has become another one already. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return Number.isSafeInteger(value) ? String(value) : undefined;
}
