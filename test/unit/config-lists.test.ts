import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { expandTables, parseJob } from '../../src/config/index.js';
import { readQueryFile } from '../../src/config/query-file.js';
import { QueryListReader } from '../../src/config/query-list.js';
import { formatProblems } from '../../src/core/errors.js';

/** Jobs whose queries come from lists: what the file may say, and how lists are read. */

const SQL = { connection: 'control', sql: 'SELECT * FROM _extract' };
const MARK = 'UPDATE _extract SET done = now() WHERE query_id = :query_id AND table_name = :table_name';
const job = (entry: object, more: object = {}) => ({
  ...{ name: 'n', source: 's', destination: 'd', tables: [entry] },
  ...more,
});
const problemsOf = (entry: object, more?: object) => formatProblems(parseJob(job(entry, more)).problems);
const warningsOf = (entry: object, more?: object) => formatProblems(parseJob(job(entry, more)).warnings);

describe('an entry with queriesFrom', () => {
  test.each<[string, object, string]>([
    [
      'a misspelt key',
      { queriesFrom: { fil: 'a.csv' } },
      'tables[0].queriesFrom.fil: unknown key — did you mean "file"?',
    ],
    [
      'nothing',
      { queriesFrom: {} },
      'tables[0].queriesFrom: says not where the queries are — write {file: queries.csv}',
    ],
    [
      'file and sql',
      { queriesFrom: { ...SQL, file: 'a.csv' } },
      'tables[0].queriesFrom.sql: can not stand beside file',
    ],
    [
      'sql alone',
      { queriesFrom: { sql: 'SELECT 1' } },
      'tables[0].queriesFrom.connection: is missing — name the connection that sql',
    ],
    [
      'a file and its onCommitted',
      { queriesFrom: { file: 'a.csv', onCommitted: MARK } },
      'queriesFrom.connection: is missing — name the connection that onCommitted',
    ],
    [
      'a file and an idle connection',
      { queriesFrom: { file: 'a.csv', connection: 'c' } },
      'queriesFrom.connection: has no use beside file',
    ],
    [
      'a file of another kind',
      { queriesFrom: { file: 'secrets.env' } },
      'tables[0].queriesFrom.file: is not a list that can be read — name a .csv',
    ],
    [
      'queries beside it',
      { queriesFrom: SQL, queries: [{ id: 1, sql: 'x' }] },
      'tables[0].queriesFrom: can not stand beside queries — keep one',
    ],
    [
      'where beside it',
      { queriesFrom: SQL, where: 'x' },
      'tables[0].where: can not stand beside queriesFrom — take it out',
    ],
    ['a list of columns', { queriesFrom: SQL, columns: ['a'] }, 'tables[0].columns: can not stand beside queriesFrom'],
    [
      'one target for all',
      { queriesFrom: SQL, to: 'dw.all' },
      'tables[0].to: is one target for all tables of the list — write e.g. dw.{table}',
    ],
    [
      'an unknown name',
      { queriesFrom: { ...SQL, onCommitted: 'SELECT :query_idd' } },
      'queriesFrom.onCommitted: uses :query_idd, which is not known — did you mean :query_id?',
    ],
    ['no types', { queriesFrom: SQL, columns: {} }, 'tables[0].columns: is empty — write e.g. {id: bigint'],
    [
      'no text for a type',
      { queriesFrom: SQL, columns: { id: 3 } },
      'tables[0].columns.id: is not a type as the destination writes it',
    ],
    [
      'a number for a column',
      { queriesFrom: SQL, columns: { 1: 'int' } },
      'tables[0].columns.1: is not the name of a column',
    ],
    [
      'types beside from',
      { from: 'a.b', columns: { id: 'int' } },
      'tables[0].columns: declares columns, which only queries have need of',
    ],
    ['rejects of nothing', { queriesFrom: SQL, rejects: { max: 0 } }, 'tables[0].rejects.max: '],
  ])('is refused for %s', (_, entry, expected) => {
    expect(problemsOf(entry)).toContain(expected);
  });

  it('is warned of where its statement would mark too much', () => {
    const say = (onCommitted: string) => warningsOf({ queriesFrom: { ...SQL, onCommitted } });
    expect(say(MARK)).toBe('');
    expect(say('UPDATE x SET done = now() WHERE id = :query_id')).toBe(
      'tables[0].queriesFrom.onCommitted: uses :query_id alone, and query ids are unique only within their table — add table_name = :table_name',
    );
    expect(say('UPDATE x SET done = now()')).toBe(
      'tables[0].queriesFrom.onCommitted: says the same of every query — add query_id = :query_id',
    );
  });

  it('has its values from defaults, and types in their order', () => {
    const columns = { zeta: 'bigint', alpha: 'numeric(12,2)' };
    const { compiled, problems } = parseJob(
      job(
        { queriesFrom: SQL, columns },
        { defaults: { to: 'bronze.erp_{table}', rejects: { max: 10 } }, allowFewer: true },
      ),
    );
    expect(problems).toEqual([]);
    expect(compiled).toMatchObject({ allowFewer: true });
    expect(compiled!.entries).toEqual([
      {
        ...{ path: 'tables[0]', kind: 'list', mode: 'replace', to: 'bronze.erp_{table}', rejects: { max: 10 } },
        queriesFrom: SQL,
        declared: [
          { name: 'zeta', type: 'bigint' },
          { name: 'alpha', type: 'numeric(12,2)' },
        ],
      },
    ]);
  });
});

describe('a list in the place of its entries', () => {
  const query = (id: string) => ({ id, sql: `SELECT ${id}` });
  const list = ['orders', 'erp.lines', 'more'].map((table) => ({ table, queries: [query('1'), query('2')] }));
  const expand = (tables: object[], more: object = {}, found = list) =>
    expandTables(
      parseJob({ name: 'n', source: 's', destination: 'd', tables, ...more }),
      () => Promise.resolve([]),
      () => Promise.resolve({ tables: found, problems: [] }),
    );

  it('has a table for each of its names, those with an entry of their own apart', async () => {
    const { job, problems } = await expand([
      { queriesFrom: SQL, to: 'bronze.erp_{table}' },
      { queriesFrom: SQL, table: 'orders', to: 'dw.o' },
      { table: 'more', to: 'dw.more', queries: [query('9')] },
    ]);
    expect(problems).toEqual([]);
    expect(job!.tables.map(({ table, to, queries }) => [table, to, queries!.length])).toEqual([
      ['erp.lines', 'bronze.erp_lines', 2],
      ['orders', 'dw.o', 2],
      ['more', 'dw.more', 1],
    ]);
    expect(job!.tables[0]).toMatchObject({ queriesFrom: SQL, partition: { by: 'auto', count: 2 } });
  });

  it('goes to tables of its own names where nothing is said', async () => {
    const { job } = await expand([{ queriesFrom: SQL }]);
    expect(job!.tables.map(({ to }) => to)).toEqual(['public.orders', 'erp.lines', 'public.more']);
  });

  it('must hold what an entry names, and no target twice', async () => {
    const { problems } = await expand([
      { queriesFrom: SQL, table: 'order', to: 'dw.x' },
      { queriesFrom: SQL, to: 'dw.{table}' },
      { queriesFrom: SQL, to: 'dw.{table}' },
    ]);
    expect(formatProblems(problems)).toContain('tables[0]: the list has no query of order');
    expect(formatProblems(problems)).toContain('tables[2]: orders is copied by tables[1] too');
  });

  it('has no more queries than a job may have', async () => {
    const queries = Array.from({ length: 60_000 }, (_, n) => query(String(n)));
    const { problems } = await expand([{ queriesFrom: SQL }], {}, [
      { table: 'a', queries },
      { table: 'b', queries },
    ]);
    expect(formatProblems(problems)).toBe('tables: hold 120000 queries, more than 100000 — make several jobs of it');
  });
});

describe('the rows of a list', () => {
  const read = (columns: string[], rows: (string | null)[][]) => {
    const reader = new QueryListReader('row');
    if (reader.columns(columns)) rows.forEach((row, index) => reader.add(row, index + 1));
    const { tables, problems } = reader.end();
    return { tables, said: problems.map(({ message, fix }) => `${message} — ${fix}`) };
  };
  const COLUMNS = ['completed', 'QUERY', 'table_name', 'Query_Id'];

  it('are grouped by table, in their order, whatever the order and case of the columns', () => {
    const { tables, said } = read(COLUMNS, [
      [null, 'SELECT 1', 'orders   ', '1'],
      ['x', 'SELECT 2', 'lines', '1'],
      [null, 'SELECT 3', 'orders', '2'],
    ]);
    expect(said).toEqual([]);
    expect(tables).toEqual([
      {
        table: 'orders',
        queries: [
          { id: '1', sql: 'SELECT 1' },
          { id: '2', sql: 'SELECT 3' },
        ],
      },
      { table: 'lines', queries: [{ id: '1', sql: 'SELECT 2' }] },
    ]);
  });

  it('are told of all at once, without any value but what things are called by', () => {
    const secret = 'hunter2';
    const wrong = [
      [null, 'SELECT 1', 'orders', '1'],
      [null, secret, 'orders', '1'],
      [null, '  ', 'orders', '2'],
      [null, null, 'orders', '3'],
      [null, 'SELECT 1', `a.b.${secret}`, '4'],
      [null, 'SELECT 1', 'sales.*', '5'],
      [null, 'SELECT 1', '', '6'],
      [null, 'SELECT 1', 'orders', ' '],
      [null, 'SELECT 1', 'orders', secret.repeat(50)],
      ...Array.from({ length: 9 }, () => [null, 'SELECT 1', 'lines', null]),
    ];
    const { tables, said } = read(COLUMNS, wrong);
    expect(tables).toEqual([]);
    expect(said).toEqual([
      'a query_id is there a second time in its table (row 2: orders/1) — give each its own',
      'query is empty (rows 3, 4) — write its text, or take the row out',
      'table_name is not the name of a table (rows 5, 6) — write a name such as orders, or erp.orders',
      'table_name is empty (row 7) — name the table that the query reads a part of',
      'query_id is empty (rows 8, 10, 11, 12, 13 and 5 others) — give each query an id, unique within its table',
      'query_id is longer than 200 characters (row 9) — give it a short one: it is what people call it by',
    ]);
    expect(said.join()).not.toContain(secret);
  });

  it('need their columns, and must be there', () => {
    expect(read(['id', 'query', 'QUERY'], []).said).toEqual([
      'it has no column query_id — its columns are query_id, table_name, query',
      'it has no column table_name — its columns are query_id, table_name, query',
      'it has more than one column query — keep one of them',
    ]);
    expect(read(COLUMNS, []).said).toEqual(['it has no rows — see where the list comes from']);
  });
});

describe('a file of queries', () => {
  let root: string;
  let folder: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'longhaul-lists-'));
    folder = join(root, 'config');
    await mkdir(join(folder, 'lists'), { recursive: true });
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  const said = async (name: string) =>
    (await readQueryFile(folder, name)).problems.map(({ message, fix }) => `${message} — ${fix}`);

  const TABLES = [
    {
      table: 'orders',
      queries: [
        { id: '1', sql: 'SELECT \'a, b\' AS "x"\nFROM t' },
        { id: 'q2', sql: 'SELECT 2' },
      ],
    },
  ];

  it('is CSV, JSON or YAML, with the same queries in each', async () => {
    const csv =
      '\uFEFFquery_id,Table_Name,query\r\n1,orders,"SELECT \'a, b\' AS ""x""\nFROM t"\r\nq2,orders,SELECT 2\r\n\r\n';
    await write('lists/q.csv', csv);
    const entries = [
      { query_id: 1, table_name: 'orders', query: TABLES[0]!.queries[0]!.sql },
      { QUERY_ID: 'q2', table_name: 'orders', query: 'SELECT 2', completed: null },
    ];
    await write('q.json', JSON.stringify(entries));
    await write('q.yml', JSON.stringify(entries, undefined, 1));
    for (const name of ['lists/q.csv', 'q.json', 'q.yml'])
      expect(await readQueryFile(folder, name)).toEqual({ tables: TABLES, problems: [] });
  });

  it('is told of by its line, and never quoted', async () => {
    await write('a.csv', 'query_id,table_name,query\n1,orders,"SELECT\n\n1"\n2,orders\n2,orders,hunter2\n,,\n');
    expect(await said('a.csv')).toEqual([
      'query is empty (lines 5, 7) — write its text, or take the row out',
      'query_id is empty (line 7) — give each query an id, unique within its table',
      'table_name is empty (line 7) — name the table that the query reads a part of',
    ]);
    await write('b.csv', 'query_id,table_name,query\n1,orders,"hunter2\n');
    expect((await said('b.csv')).join()).toMatch(/^it is no CSV \(CSV_QUOTE_NOT_CLOSED\)/);
    await write('c.json', '[{"query_id": hunter2}]');
    expect(await said('c.json')).toEqual(['it is no JSON — look for a missing quote or comma']);
    await write('d.yaml', 'password: hunter2');
    expect((await said('d.yaml')).join()).toMatch(/^it is not a list/);
    await write('e.yaml', '- {query_id: "hunter2}');
    expect((await said('e.yaml')).join()).not.toContain('hunter2');
    await write('f.json', '[{"query_id": 12345678901234567890, "table_name": "t", "query": "q"}, {"query_id": 1}]');
    expect((await said('f.json')).join()).toMatch(
      /^a value is missing, or is neither a text nor a whole number \(entries 1, 2\)/,
    );
    await write('empty.csv', '');
    expect(await said('empty.csv')).toEqual(['it has no rows — see where the list comes from']);
  });

  it('lies beside longhaul.yaml or below it, also through symbolic links', async () => {
    await writeFile(join(root, 'outside.csv'), 'query_id,table_name,query\n1,t,SELECT 1\n');
    await symlink(join(root, 'outside.csv'), join(folder, 'link.csv'));
    await symlink(folder, join(root, 'alias'));
    await write('inside.csv', 'query_id,table_name,query\n1,t,SELECT 1\n');
    await symlink('inside.csv', join(folder, 'near.csv'));
    const outside = /^it is not below the folder of the worker's longhaul.yaml — put the file beside/;
    for (const name of [
      '../outside.csv',
      'lists/../../outside.csv',
      join(root, 'outside.csv'),
      'link.csv',
      '/etc/passwd',
    ])
      expect((await said(name)).join(), name).toMatch(outside);
    expect(await said('none.csv')).toEqual([expect.stringMatching(/^there is no such file beside longhaul.yaml/)]);
    expect(await said('lists')).toEqual([expect.stringMatching(/^it is no file that can be read/)]);
    expect(await said('near.csv')).toEqual([]);
    expect((await readQueryFile(join(root, 'alias'), 'inside.csv')).problems).toEqual([]);
  });
});
