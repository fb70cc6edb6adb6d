import type { StoreLocation } from '../../../src/connectors/objects/open.js';
import { tablePath } from '../../../src/connectors/lake/table-path.js';
import { askPython } from '../../support/python.js';

/** What readers that we did not write find of one table. */
export interface FoundTable {
  /** Of its newest version, each a JSON object that Postgres can read as a row. */
  readonly rows: readonly object[];
  /** Each version that can still be read: rows of before, and of jobs. */
  readonly states: readonly { readonly old: number; readonly rows: number }[];
  /** Data files that no version names. */
  readonly orphans: readonly string[];
}

interface Where {
  readonly format: 'delta' | 'parquet';
  readonly location: StoreLocation;
}

/** Every Delta table in every version, by delta-rs; where there is only a list of files, the last two contents, by pyarrow. Fails when a version names a file that is gone. */
export async function readLake(
  python: string,
  { format, location }: Where,
  tables: readonly string[],
): Promise<Record<string, FoundTable>> {
  const paths = Object.fromEntries(tables.map((table) => [table, tablePath(table)!]));
  const given = { format, tables: paths, ...placeOf(location) };
  return (await askPython(python, PROGRAM, given)) as Record<string, FoundTable>;
}

/** A lake's root, and what delta-rs and pyarrow need to know of it. */
export function placeOf(location: StoreLocation): object {
  if (location.kind === 'local') return { root: location.path, url: location.path, options: {} };
  const { bucket, prefix, endpoint, credentials } = location;
  const { accessKeyId: key, secretAccessKey: secret } = credentials!;
  const options = { AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret };
  const all = { ...options, AWS_REGION: 'us-east-1', AWS_ALLOW_HTTP: 'true' };
  return { root: `${bucket}/${prefix}`, url: `s3://${bucket}/${prefix}`, options: all };
}

/** The newest state of a Parquet table and the one before it are kept; files of older ones may be gone. */
const PROGRAM = `
import json, sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.fs as fs, pyarrow.parquet as pq
from urllib.parse import unquote
given = json.loads(sys.argv[1])
root, options = given['root'], given['options']
files = fs.LocalFileSystem() if not options else fs.S3FileSystem(endpoint_override=options['AWS_ENDPOINT_URL'], region='us-east-1',
  access_key=options['AWS_ACCESS_KEY_ID'], secret_key=options['AWS_SECRET_ACCESS_KEY'])

def under(folder):
  return [f.path for f in files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)) if f.type == fs.FileType.File]

def state(table):
  old = pc.sum(pc.equal(table['gen'], 0)).as_py() or 0
  return {'old': old, 'rows': table.num_rows - old}

def delta(path):
  from deltalake import DeltaTable
  from deltalake.exceptions import TableNotFoundError
  try: table = DeltaTable(given['url'] + '/' + path, storage_options=options)
  except TableNotFoundError: return None, [], set()
  states, named, last = [], set(), table.version()
  for version in range(last + 1):
    table.load_as_version(version)
    named.update(root + '/' + path + '/' + unquote(p) for p in table.get_add_actions(flatten=True)['path'].to_pylist())
    rows = table.to_pyarrow_table()
    states.append(state(rows))
  return rows, states, named

def read(paths, columns=None):
  tables = [pq.read_table(p, filesystem=files, columns=columns, partitioning=None) for p in paths]
  return pa.concat_tables(tables) if tables else None

def parquet(path):
  folder = root + '/' + path + '/'
  lines = [p for p in under(folder + '_symlink_format_manifest')]
  listed = files.open_input_stream(lines[0]).read().decode().split() if lines else []
  rows = read([unquote(l)[len(l) - len(l.split('://')[1]):] for l in listed]) if listed else None
  contents, content = [], []
  for entry in sorted(under(folder + '_longhaul/versions')):
    entry = json.loads(files.open_input_stream(entry).read())
    if entry['kind'] != 'published': continue
    content = ([] if entry['mode'] == 'replace' else content) + [root + '/' + f for f in entry['files']]
    contents.append(content)
  states = [state(read(c, ['gen'])) for c in contents[-2:] if c]
  return rows, states, {f for c in contents for f in c}

def plain(row):
  amount, seen, body = row['amount'], row['seen'], row['body']
  return {**row, 'amount': None if amount is None else str(amount), 'seen': seen and seen.isoformat(),
    'body': None if body is None else '\\\\x' + body.hex()}

found = {}
for name, path in given['tables'].items():
  rows, states, named = delta(path) if given['format'] == 'delta' else parquet(path)
  data = [p for p in under(root + '/' + path) if p.endswith('.parquet') and '/_delta_log/' not in p]
  found[name] = {'rows': [] if rows is None else [plain(r) for r in rows.to_pylist()], 'states': states,
    'orphans': [p for p in data if p not in named]}
print(json.dumps(found))`;
