import type { Problem } from '../core/errors.js';
import type { Job, TableSpec } from '../core/model.js';
import type { CompiledEntry, CompiledJob, RelationEntry } from './compiled-job.js';
import type { ParsedJob } from './job.js';
import { MOST_TABLES } from './job-schema.js';
import { fillTemplate, formatTableName, isPattern, parseTableName, type TableName } from './table-name.js';

/** One table of the expanded job with its entry's path in the file: what problems found on the servers are said about. */
export interface ExpandedTable {
  readonly path: string;
  readonly spec: TableSpec;
}

export interface ExpandedJob {
  /** Present only if there is no problem, from parsing or expanding. */
  readonly job?: Job;
  /** All tables that could be told, also beside problems; patterns expanded in place. */
  readonly tables: readonly ExpandedTable[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * Puts the source's tables in the place of patterns, fills in templates of targets, and looks for duplicates. `match` answers with
 * the names that match a pattern, in their order; its errors pass through. A table with an entry of its own is not taken by a pattern.
 */
export async function expandTables(
  parsed: ParsedJob,
  match: (pattern: string) => Promise<readonly string[]>,
): Promise<ExpandedJob> {
  const { compiled, warnings } = parsed;
  if (compiled === undefined) return { tables: [], problems: parsed.problems, warnings };
  const { tables, problems: unmatched } = await expandEntries(compiled.entries, match);
  const problems = [
    ...parsed.problems,
    ...unmatched,
    ...duplicates(tables),
    ...ontoItself(compiled, tables),
    ...tooMany(tables),
  ];
  if (problems.length > 0) return { tables, problems, warnings };
  const { entries: _, ...head } = compiled;
  return { job: { ...head, tables: tables.map(({ spec }) => spec) }, tables, problems, warnings };
}

async function expandEntries(
  entries: readonly CompiledEntry[],
  match: (pattern: string) => Promise<readonly string[]>,
) {
  const named = new Set(entries.flatMap((entry) => (entry.kind === 'relation' ? [entry.from] : [])));
  const tables: ExpandedTable[] = [];
  const problems: Problem[] = [];
  for (const entry of entries) {
    if (entry.kind === 'queries' || !isPattern(nameOf(entry.from))) {
      tables.push({ path: entry.path, spec: specOf(entry) });
      continue;
    }
    const names = (await match(entry.from)).map((name) => formatTableName(nameOf(name)));
    const left = names.filter((name) => !named.has(name));
    tables.push(...left.map((from) => ({ path: entry.path, spec: specOf({ ...entry, from }) })));
    if (names.length === 0) problems.push(matchesNothing(entry));
  }
  return { tables, problems };
}

function matchesNothing({ path, from }: CompiledEntry & RelationEntry): Problem {
  const message = `${from} matches no table that this connection may see`;
  return { path, message, fix: 'correct the pattern, or grant USAGE on the schema' };
}

function specOf(entry: CompiledEntry): TableSpec {
  const { path: _path, kind: _kind, ...keys } = entry;
  if ('queries' in keys) {
    const { table, queries } = keys;
    return { ...keys, to: targetOf(keys.to, table), partition: { by: 'auto', count: queries.length } };
  }
  return { ...keys, table: keys.from, to: targetOf(keys.to, keys.from) };
}

function targetOf(template: string, table: string): string {
  return formatTableName(nameOf(fillTemplate(template, nameOf(table))));
}

/** Names were checked when the file was read; what a source answers is taken as it is. */
function nameOf(text: string): TableName {
  return parseTableName(text) ?? { schema: 'public', table: text };
}

function duplicates(tables: readonly ExpandedTable[]): Problem[] {
  const sources = new Map<string, string>();
  const targets = new Map<string, string>();
  return tables.flatMap(({ path, spec }) => {
    const source = sources.get(spec.table);
    const target = targets.get(spec.to);
    if (source === undefined) sources.set(spec.table, path);
    if (target === undefined) targets.set(spec.to, path);
    if (source !== undefined)
      return [{ path, message: `${spec.table} is copied by ${source} too`, fix: 'keep one of them' }];
    if (target === undefined) return [];
    const message = `${spec.table} goes to ${spec.to}, which is the target of ${target} too`;
    return [{ path, message, fix: 'give each table a target of its own, e.g. to: "dw.{schema}_{table}"' }];
  });
}

function ontoItself({ source, destination }: CompiledJob, tables: readonly ExpandedTable[]): Problem[] {
  if (source !== destination) return [];
  return tables
    .filter(({ spec }) => spec.from === spec.to)
    .map(({ path, spec }) => {
      const message = `${spec.to} would be copied onto itself`;
      return { path, message, fix: 'write another destination, or another to' };
    });
}

function tooMany(tables: readonly ExpandedTable[]): Problem[] {
  if (tables.length <= MOST_TABLES) return [];
  const message = `${tables.length} tables match, more than ${MOST_TABLES}`;
  return [{ path: 'tables', message, fix: 'make several jobs of it' }];
}
