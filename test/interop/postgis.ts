/**
 * Shapes of a real PostGIS in lakes of ours: byte for byte its own ST_AsBinary, and as DuckDB reads them. Not a test: it needs a Postgres
 * with PostGIS, whose URL is in LONGHAUL_POSTGIS_URL; it makes a database `longhaul_postgis` there and drops it. Run by
 * `npm run interop:postgis`; docs/types.md has what it said.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnector } from '../../src/connectors/registry.js';
import { copyDirectly } from '../support/direct-copy.js';
import { runSql } from '../support/postgres.js';
import { askPython, DUCKDB, pythonWith } from '../support/python.js';

const DATABASE = 'longhaul_postgis';
const SPATIAL = ['duckdb-ext-spatial==1.4.4.20260205'];

const FLAT = [
  ...['POINT(1 2)', 'POINT EMPTY', 'LINESTRING(0 0,1 1.5,-2 1e10)', 'LINESTRING EMPTY', 'POLYGON EMPTY'],
  'POLYGON((0 0,10 0,10 10,0 10,0 0),(2 2,2 4,4 4,4 2,2 2))',
  ...['MULTIPOINT(1 2,3 4)', 'MULTIPOINT EMPTY', 'MULTILINESTRING((0 0,1 1),(2 2,3 3,4 4))'],
  'MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,9 5,9 9,5 5),(6 6,7 6,7 7,6 6)))',
  ...['GEOMETRYCOLLECTION EMPTY', 'GEOMETRYCOLLECTION(POINT(1 2),GEOMETRYCOLLECTION(LINESTRING(0 0,1 1),POINT EMPTY))'],
];
const DEEP = [
  ...['POINT Z(1 2 3)', 'POINT M(1 2 3)', 'POINT ZM(1 2 3 4)', 'POINT Z EMPTY', 'LINESTRING M(0 0 1,1 1 2)'],
  ...['POLYGON Z((0 0 1,10 0 1,10 10 1,0 0 1))', 'POLYGON ZM((0 0 1 2,10 0 1 2,10 10 1 2,0 0 1 2))'],
  ...['MULTIPOINT Z(1 2 3,4 5 6)', 'MULTIPOLYGON M(((0 0 1,1 0 1,1 1 1,0 0 1)))', 'MULTILINESTRING ZM EMPTY'],
  'GEOMETRYCOLLECTION Z(POINT Z(1 2 3),LINESTRING Z(0 0 0,1 1 1))',
];
/** Of SQL/MM and 3D, which most readers don't know. */
const CURVED = [
  ...['CIRCULARSTRING(0 0,1 1,2 0)', 'COMPOUNDCURVE(CIRCULARSTRING(0 0,1 1,2 0),(2 0,3 3))'],
  ...['CURVEPOLYGON(CIRCULARSTRING(0 0,4 0,4 4,0 4,0 0))', 'MULTICURVE((0 0,5 5),CIRCULARSTRING(4 0,4 4,8 4))'],
  ...[
    'MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(0 0,4 0,4 4,0 4,0 0)))',
    'TRIANGLE((0 0,0 9,9 0,0 0))',
    'TRIANGLE EMPTY',
  ],
  ...['TIN(((0 0,0 1,1 1,0 0)),((0 0,0 1,1 0,0 0)))', 'POLYHEDRALSURFACE Z(((0 0 0,0 0 1,0 1 1,0 0 0)))'],
];
const SRIDS = [0, 4326, 3857];
const shapes = [...FLAT, ...DEEP, ...CURVED];

/** What every reader is asked for, beside the key; `told` can't come in binary, so that its table is read as text. */
const COLUMNS = ['g', 'typed', 'geo', 'list'] as const;
const TABLES = { shapes: '', told: ', told inet' };

function sql(): string {
  const rows = SRIDS.flatMap((srid) => shapes.map((shape) => `('SRID=${srid};${shape}'::geometry)`));
  const created = Object.entries(TABLES).map(
    ([
      table,
      more,
    ]) => `CREATE TABLE ${table} (id serial PRIMARY KEY, g geometry, typed geometry(PointZ, 4326), geo geography, list geometry[]${more});
    INSERT INTO ${table} (g) VALUES ${rows.join(', ')}, (NULL);
    UPDATE ${table} SET typed = ST_SetSRID(ST_MakePoint(id, -id, 0.5), 4326), list = ARRAY[g, NULL, 'SRID=4326;POINT M(1 2 3)']
      WHERE id % 2 = 0;
    UPDATE ${table} SET geo = ST_SetSRID(g, 4326)::geography WHERE id <= ${FLAT.length + DEEP.length} AND ST_XMax(g) < 90 IS NOT FALSE;`,
  );
  return `CREATE EXTENSION postgis; ${created.join('\n')}`;
}

interface Expected extends Record<(typeof COLUMNS)[number], unknown> {
  readonly id: number;
  readonly text: string | null;
}

const EXPECTED = (table: string) => `SELECT id, ST_AsText(g) AS text, encode(ST_AsBinary(g), 'hex') AS g,
  encode(ST_AsBinary(typed), 'hex') AS typed, encode(ST_AsBinary(geo), 'hex') AS geo,
  (SELECT json_agg(encode(ST_AsBinary(e), 'hex') ORDER BY n) FROM unnest(list) WITH ORDINALITY u(e, n)) AS list FROM ${table} ORDER BY id`;

/** Rows as \`EXPECTED\` has them, but for texts, which are DuckDB's own: null where it can't read a shape. */
const PROGRAM = `
import glob, json, sys, duckdb, duckdb_ext
connection = duckdb.connect()
for extension in ('delta', 'spatial'):
  connection.load_extension(glob.glob(list(duckdb_ext.__path__)[0] + '/extensions/*/*/' + extension + '.duckdb_extension')[0])
given, shown = json.loads(sys.argv[1]), lambda v: None if v is None else [shown(e) for e in v] if isinstance(v, list) else bytes(v).hex()
rows = []
for id, g, typed, geo, list_ in connection.execute('SELECT id, g, typed, geo, list FROM ' + given['from'] + ' ORDER BY id').fetchall():
  try: text = connection.execute('SELECT ST_AsText(ST_GeomFromWKB(?))', [g]).fetchone()[0]
  except duckdb.Error: text = None
  rows.append({'id': id, 'g': shown(g), 'typed': shown(typed), 'geo': shown(geo), 'list': shown(list_), 'text': text})
print(json.dumps(rows))`;

/** Both may print a point of a MULTIPOINT in parentheses of its own or without. */
const plain = (text: string | null) => text?.replaceAll(/[ ()]/g, '').toUpperCase();

function compare(what: string, expected: readonly Expected[], found: readonly Expected[]): boolean {
  const differ = expected.filter((row, index) =>
    COLUMNS.some((c) => JSON.stringify(row[c]) !== JSON.stringify(found[index]?.[c])),
  );
  const known = expected.filter(({ text }, index) => text !== null && plain(text) === plain(found[index]!.text));
  const unread = new Set(
    expected
      .filter(({ text }, index) => text !== null && found[index]!.text === null)
      .map(({ text }) => text!.split(/[ (]/)[0]),
  );
  const other = expected.filter(
    ({ text }, index) => found[index]!.text !== null && plain(text) !== plain(found[index]!.text),
  );
  console.log(
    `${what}: ${expected.length} rows, ${found.length} found, ${differ.length} with other bytes than ST_AsBinary; DuckDB reads ${known.length} as PostGIS prints them; not: ${[...unread].join(', ') || 'none'}`,
  );
  for (const { text, id } of other) console.log(`  ${text}: DuckDB prints ${found[id - 1]!.text}`);
  return differ.length === 0 && found.length === expected.length;
}

async function main(): Promise<void> {
  const server = process.env.LONGHAUL_POSTGIS_URL;
  if (server === undefined)
    throw new Error('LONGHAUL_POSTGIS_URL is not set: it is the URL of a Postgres with PostGIS.');
  const url = new URL(server);
  url.pathname = `/${DATABASE}`;
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-postgis-'));
  await runSql(server, `DROP DATABASE IF EXISTS ${DATABASE}`);
  await runSql(server, `CREATE DATABASE ${DATABASE}`);
  try {
    await runSql(url.href, sql());
    const [version] = await runSql<{ postgis: string; postgres: string }>(
      url.href,
      `SELECT postgis_lib_version() AS postgis, current_setting('server_version') AS postgres`,
    );
    console.log(`PostGIS ${version!.postgis}, Postgres ${version!.postgres}`);
    if (!(await copyAndCompare(url.href, folder))) process.exitCode = 1;
  } finally {
    await runSql(server, `DROP DATABASE ${DATABASE}`);
    await rm(folder, { recursive: true, force: true });
  }
}

async function copyAndCompare(url: string, folder: string): Promise<boolean> {
  const python = await pythonWith([...DUCKDB, ...SPATIAL]);
  const settings = { name: 'source', url, settings: {}, maxSessions: 8, ledgerSchema: 'longhaul' };
  const source = createConnector({ type: 'postgres', ...settings });
  let same = true;
  for (const type of ['delta', 'parquet'] as const) {
    const path = join(folder, type);
    const files = { compression: 'zstd', targetFileSize: 1 << 20, outOfRange: 'error' } as const;
    const lake = createConnector({ type, name: 'lake', location: { kind: 'local', path }, ...files });
    for (const table of Object.keys(TABLES)) {
      const spec = {
        table: `public.${table}`,
        from: `public.${table}`,
        to: `bronze.${table}`,
        mode: 'replace' as const,
      };
      await copyDirectly(source, lake, { ...spec, partition: { by: ['id'], count: 3 } });
      const expected = await runSql<Expected>(url, EXPECTED(table));
      const root = join(path, 'bronze', table);
      const from = type === 'delta' ? `delta_scan('${root}')` : `read_parquet('${root}/_longhaul/direct*/0/*.parquet')`;
      const found = (await askPython(python, PROGRAM, { from })) as Expected[];
      same = compare(`${type}, ${table === 'told' ? 'as text' : 'in binary'}`, expected, found) && same;
    }
  }
  return same;
}

await main();
