import type { LakeType } from '../../src/connectors/lake/model.js';
import { askPython, DELTA_RS, DUCKDB, pythonWith } from './python.js';

/** Values as texts that don't depend on who prints them: floats by their bits, bytes in hexadecimal, lists as JSON. */
export type Shown = string | null | readonly Shown[];

/** Python's DuckDB gives moments of time with pytz alone. */
const PACKAGES = [...DELTA_RS, ...DUCKDB, 'pytz==2026.1'];

/** Reads Parquet files, in the given order, with pyarrow and with DuckDB; answers with the rows as each saw them. */
export async function readWithBoth(files: readonly string[]): Promise<{ arrow: Shown[][]; duckdb: Shown[][] }> {
  const python = await pythonWith(PACKAGES);
  return (await askPython(python, READ, files)) as { arrow: Shown[][]; duckdb: Shown[][] };
}

/** MD5 of the first row's first two values, for values that are too large to be handed over. */
export async function digestsOf(file: string): Promise<[string, string]> {
  const python = await pythonWith(PACKAGES);
  return (await askPython(python, DIGEST, file)) as [string, string];
}

const DIGEST = `
import sys, json, hashlib, pyarrow.parquet as pq, duckdb
file = json.loads(sys.argv[1])
row = [column[0].as_py() for column in pq.ParquetFile(file).read().columns[:2]]
connection = duckdb.connect()
connection.execute('SET enable_progress_bar = false')
other = connection.execute('SELECT * FROM read_parquet(?)', [file]).fetchone()
assert list(other[:2]) == row
print(json.dumps([hashlib.md5(v if isinstance(v, bytes) else v.encode()).hexdigest() for v in row]))
`;

const READ = `
import sys, json, struct, datetime, decimal
import pyarrow as pa, pyarrow.parquet as pq, duckdb
files = json.loads(sys.argv[1])
def shown(value, kind):
    if value is None: return None
    if kind.startswith('list<'): return [shown(v, kind[5:-1]) for v in value]
    if kind == 'float': return struct.pack('>f', value).hex()
    if kind == 'double': return struct.pack('>d', value).hex()
    if isinstance(value, bool): return 'true' if value else 'false'
    if isinstance(value, bytes): return value.hex()
    if isinstance(value, decimal.Decimal): return format(value, 'f')
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None: value = value.astimezone(datetime.timezone.utc)
        return '%04d-%02d-%02d %02d:%02d:%02d.%06d' % (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    if isinstance(value, datetime.date): return '%04d-%02d-%02d' % (value.year, value.month, value.day)
    return str(value)
def kind(t):
    if pa.types.is_list(t): return 'list<' + kind(t.value_type) + '>'
    return str(t)
arrow, duck = [], []
connection = duckdb.connect()
connection.execute('SET enable_progress_bar = false')
connection.execute("SET TimeZone = 'UTC'")
for file in files:
    table = pq.ParquetFile(file).read()
    kinds = [kind(f.type) for f in table.schema]
    columns = [[shown(v, k) for v in c.to_pylist()] for c, k in zip(table.columns, kinds)]
    arrow += [list(row) for row in zip(*columns)]
    # Python has no float of four bytes for DuckDB to give: both are shown by the file's types.
    duck += [[shown(v, k) for v, k in zip(row, kinds)] for row in connection.execute('SELECT * FROM read_parquet(?)', [file]).fetchall()]
print(json.dumps({'arrow': arrow, 'duckdb': duck}))
`;

/** What Postgres has, shown in the same way: an expression over a column. */
export function shownBy(expression: string, type: LakeType): string {
  switch (type.kind) {
    case 'float':
      return `encode(float4send(${expression}), 'hex')`;
    case 'double':
      return `encode(float8send(${expression}), 'hex')`;
    case 'date':
      return `to_char(${expression}, 'YYYY-MM-DD')`;
    case 'timestamp':
    case 'timestamp_ntz':
      return `to_char(${expression}, 'YYYY-MM-DD HH24:MI:SS.US')`;
    case 'binary':
      return `encode(${expression}, 'hex')`;
    case 'boolean':
      return `(${expression})::text`;
    case 'list': {
      const elements = `SELECT json_agg(${shownBy('e', type.element)} ORDER BY n) FROM unnest(${expression}) WITH ORDINALITY AS u(e, n)`;
      return `CASE WHEN ${expression} IS NOT NULL THEN coalesce((${elements}), '[]') END`;
    }
    default:
      // concat prints as the type's output function does: a cast would take the blanks of char(n) off.
      return `CASE WHEN (${expression}) IS NOT DISTINCT FROM NULL THEN NULL ELSE concat(${expression}) END`;
  }
}
