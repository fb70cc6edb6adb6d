import { describe, expect, it } from 'vitest';
import { expandTables, jobJsonSchema, parseJob } from '../../src/config/index.js';
import { formatProblems } from '../../src/core/errors.js';

const FIVE_LINES = { name: 'nightly', source: 'shop', destination: 'warehouse', tables: ['public.orders'] };
const nothing = () => Promise.resolve([]);

/** All that is said of a five-line job with these keys changed. */
function problemsOf(change: object): string {
  return formatProblems(parseJob({ ...FIVE_LINES, ...change }).problems);
}

describe('a job of five lines', () => {
  it('becomes a job with every default filled in', async () => {
    const { job, problems } = await expandTables(parseJob(FIVE_LINES), nothing);
    expect(problems).toEqual([]);
    const [table] = job!.tables;
    expect(job).toMatchObject({ parallelism: 4, onFailure: 'wait', maxParked: 100 });
    expect(job!.retry).toEqual({
      maximumAttempts: 5,
      initialInterval: 5_000,
      backoffCoefficient: 2,
      maximumInterval: 300_000,
      maximumCrashes: 10,
      heartbeatTimeout: 30_000,
      attemptTimeout: 86_400_000,
      stallTimeout: 600_000,
    });
    expect(table).toEqual({
      table: 'public.orders',
      from: 'public.orders',
      to: 'public.orders',
      mode: 'replace',
      partition: { by: 'auto', size: 268_435_456 },
    });
  });
});

describe('one mistake in a job', () => {
  it.each<[string, object, string]>([
    ['missing name', { name: undefined }, 'name: is missing — write one such as nightly'],
    ['name with a space', { name: 'my job' }, 'name: is not a name'],
    ['a number for a list', { tables: 5 }, 'tables: is not a list of tables'],
    ['no table', { tables: [] }, 'tables: is an empty list'],
    ['parallelism of 0', { parallelism: 0 }, 'parallelism: 0 is not allowed — write a whole number from 1 to 1000'],
    ['parallelism of 1.5', { parallelism: 1.5 }, 'parallelism: 1.5 is not allowed'],
    ['a mode that is none', { mode: 'upsert' }, 'mode: "upsert" is not one of replace, append — write one of these'],
    [
      'a duration without unit',
      { retry: { stallTimeout: 30 } },
      'retry.stallTimeout: 30 is not a duration — write a number with its unit',
    ],
    [
      'a short heartbeat',
      { retry: { heartbeatTimeout: '10ms' } },
      'retry.heartbeatTimeout: is too short — write at least 5s: workers are heard every 3s',
    ],
    [
      'shrinking intervals',
      { retry: { initialInterval: '10m' } },
      'retry.maximumInterval: is shorter than initialInterval',
    ],
    ['endless attempts', { retry: { maximumAttempts: 0 } }, 'retry.maximumAttempts: 0 is not allowed'],
    ['an unquoted star', { tables: [{ from: 'sales.*', to: 'dw.all' }] }, 'tables[0].to: is one target for all tables'],
    ['three-part name', { tables: ['db.public.orders'] }, 'tables[0]: is not the name of a table'],
    [
      'a mistyped placeholder',
      { defaults: { to: 'dw.{tabel}' } },
      'defaults.to: holds a placeholder that is not known — did you mean {table}?',
    ],
    [
      'a query without text',
      { tables: [{ table: 'q', queries: [{ id: 1, sql: '' }] }] },
      'tables[0].queries[0].sql: is empty',
    ],
    [
      'equal ids',
      {
        tables: [
          {
            table: 'q',
            queries: [
              { id: 1, sql: 'a' },
              { id: '1', sql: 'b' },
            ],
          },
        ],
      },
      'tables[0].queries[1].id: is the id',
    ],
    ['a nameless group', { tables: [{ queries: [{ id: 1, sql: 'a' }] }] }, 'tables[0].table: is missing'],
    [
      '{schema} without one',
      { tables: [{ table: 'q', to: '{schema}.q', queries: [{ id: 1, sql: 'a' }] }] },
      'tables[0].to: holds {schema}, but',
    ],
    [
      'queries and where',
      { tables: [{ table: 'q', where: 'x', queries: [{ id: 1, sql: 'a' }] }] },
      'tables[0].where: can not stand beside queries',
    ],
    [
      'columns and exclude',
      { tables: [{ from: 'a', columns: ['x'], exclude: ['y'] }] },
      'tables[0].exclude: can not stand beside columns',
    ],
    [
      'two measures',
      { defaults: { partition: { rows: 5, count: 4 } } },
      'defaults.partition: says rows and count — keep one',
    ],
    ['neither from nor queries', { tables: [{ to: 'dw.x' }] }, 'tables[0]: says not what to copy'],
    ['table beside from', { tables: [{ from: 'a', table: 'b' }] }, 'tables[0].table: names a group of queries'],
    ['an empty key', { tables: [{ from: 'a', where: null }] }, 'tables[0].where: is empty'],
    [
      'minutes for millions',
      { tables: [{ from: 'a', partition: { rows: '5m' } }] },
      'tables[0].partition.rows: "5m" is not a count',
    ],
    ['an odd entry', { tables: [17] }, 'tables[0]: is a number — write schema.table'],
    ['a mistyped key', { tables: [{ form: 'a' }] }, 'tables[0].form: unknown key — did you mean "from"?'],
    [
      'onSnapshotLost without a snapshot',
      { onSnapshotLost: 'restart' },
      'onSnapshotLost: needs consistency: snapshot, since per-partition reads hold none — add consistency: snapshot, or take this out',
    ],
    [
      'onSnapshotLost beside per-partition',
      { consistency: 'per-partition', onSnapshotLost: 'fail' },
      'onSnapshotLost: needs consistency: snapshot, since',
    ],
    [
      'maxSnapshotAge without a snapshot',
      { maxSnapshotAge: '12h' },
      'maxSnapshotAge: needs consistency: snapshot, since per-partition reads hold none — add consistency: snapshot, or take this out',
    ],
    [
      'maxSnapshotAge without a unit',
      { consistency: 'snapshot', maxSnapshotAge: 12 },
      'maxSnapshotAge: 12 is not a duration — write a number with its unit, e.g. 12h',
    ],
    [
      'maxSnapshotAge for a moment',
      { consistency: 'snapshot', maxSnapshotAge: '10s' },
      'maxSnapshotAge: is too short — write at least 1m',
    ],
    [
      'again without append',
      { again: true },
      'again: needs a table with mode append: replace may run as often as you like — take it out',
    ],
    ['again in words', { again: 'yes' }, 'again: is not true or false'],
    [
      'publish partition without append',
      { tables: [{ from: 'a', publish: 'partition' }] },
      'tables[0].publish: partition needs mode append: replace publishes all rows in one step — take one out',
    ],
    [
      'publish partition beside a snapshot',
      { consistency: 'snapshot', tables: [{ from: 'a', mode: 'append', publish: 'partition' }] },
      'tables[0].publish: partition can not stand beside consistency snapshot: what is visible can not start over — keep one of the two',
    ],
    [
      'pages without a snapshot',
      { tables: [{ from: 'a', partition: { by: 'pages' } }] },
      'tables[0].partition.by: pages needs a snapshot: an update moves a row to another page, where it is read twice or never — add consistency: snapshot to the job, or name a column',
    ],
    [
      'keepStaging without a unit',
      { keepStaging: 7 },
      'keepStaging: 7 is not a duration — write a number with its unit, e.g. 7d',
    ],
    ['keepStaging for a moment', { keepStaging: '10s' }, 'keepStaging: is too short — write at least 1m'],
    ['a verify of another name', { tables: [{ from: 'a', verify: 'checksums' }] }, 'did you mean "checksum"?'],
    ['a consistency of another name', { consistency: 'snapshots' }, 'did you mean "snapshot"?'],
    ['a key from elsewhere', { zebra: 1 }, 'zebra: unknown key — the keys here are name, source'],
  ])('%s', (_, change, expected) => {
    const text = problemsOf(change);
    expect(text).toContain(expected);
    expect(text.split('\n')).toHaveLength(1);
  });

  it.each([undefined, null, [], 'job', 5, true])('%j is no job at all', (raw) => {
    expect(parseJob(raw).problems).toMatchObject([
      { path: '', message: expect.stringMatching(/^the job is /) as string },
    ]);
  });

  it('takes again for a job of which one table appends, and onSnapshotLost beside a snapshot', () => {
    const tables = ['a', { from: 'b', mode: 'append' }];
    expect(problemsOf({ again: true, tables })).toBe('');
    // As a run that was started with it is taken up.
    expect(problemsOf({ again: true, tables, resume: '01a2' })).toBe('');
    expect(problemsOf({ consistency: 'snapshot', onSnapshotLost: 'fail' })).toBe('');
    const { compiled } = parseJob({ ...FIVE_LINES, consistency: 'snapshot', maxSnapshotAge: '90m' });
    expect(compiled).toMatchObject({ maxSnapshotAge: 5_400_000 });
  });

  it('never repeats an address, even one in the place of a name', () => {
    const secret = 'postgres://me:hunter2@db/shop';
    const text = problemsOf({
      name: secret,
      source: secret,
      mode: secret,
      resume: secret,
      [secret]: 1,
      tables: [secret, { [secret]: 1 }],
    });
    expect(text).not.toContain('hunter2');
    expect(text.split('\n').length).toBeGreaterThanOrEqual(6);
  });
});

describe('defaults', () => {
  const one = async (defaults: object, entry: object | string) => {
    const { job } = await expandTables(parseJob({ ...FIVE_LINES, mode: 'append', defaults, tables: [entry] }), nothing);
    return job!.tables[0]!;
  };

  it('fill in what an entry leaves out, and no more', async () => {
    const defaults = {
      to: 'dw.{schema}_{table}',
      columns: ['id'],
      where: 'x',
      partition: { by: 'id', rows: '5M rows' },
    };
    expect(await one(defaults, 'sales.a')).toMatchObject({
      ...{ to: 'dw.sales_a', columns: ['id'], where: 'x', mode: 'append', partition: { by: ['id'], rows: 5_000_000 } },
    });
    const own = await one(defaults, { from: 'sales.a', exclude: ['y'], mode: 'replace', partition: { count: 7 } });
    expect(own).toMatchObject({ exclude: ['y'], mode: 'replace', partition: { by: ['id'], count: 7 } });
    expect(own).not.toHaveProperty('columns');
    expect(own.partition).not.toHaveProperty('rows');
  });

  it('do not reach into queries, and say so', async () => {
    const parsed = parseJob({
      ...FIVE_LINES,
      defaults: { where: 'x', to: 'dw.{table}' },
      tables: [{ table: 'erp', queries: [{ id: 7, sql: 'q' }] }],
    });
    expect(formatProblems(parsed.warnings)).toContain('defaults.where: does not apply to the queries of tables[0]');
    expect((await expandTables(parsed, nothing)).job!.tables).toEqual([
      {
        table: 'erp',
        to: 'dw.erp',
        queries: [{ id: '7', sql: 'q' }],
        mode: 'replace',
        partition: { by: 'auto', count: 1 },
      },
    ]);
  });
});

describe('expanding', () => {
  const expand = (change: object, names: string[] = []) =>
    expandTables(parseJob({ ...FIVE_LINES, ...change }), () => Promise.resolve(names));

  it('puts what matches in place, except tables with an entry of their own', async () => {
    const tables = ['sales.*', { from: 'sales.b', where: 'x' }];
    const { job } = await expand({ defaults: { to: 'dw.{table}' }, tables }, ['sales.a', 'sales.b', 'sales.c']);
    expect(job!.tables.map(({ from, to, where }) => [from, to, where])).toEqual([
      ['sales.a', 'dw.a', undefined],
      ['sales.c', 'dw.c', undefined],
      ['sales.b', 'dw.b', 'x'],
    ]);
  });

  it('keeps quotes where a name needs them', async () => {
    const { job } = await expand({ tables: [{ from: '"My Shop"."a.b"', to: 'dw.{table}' }, 'public."plain"'] });
    expect(job!.tables.map(({ table, to }) => [table, to])).toEqual([
      ['"My Shop"."a.b"', 'dw."a.b"'],
      ['public.plain', 'public.plain'],
    ]);
  });

  it.each<[string, object, string[], string]>([
    ['a pattern that matches nothing', { tables: ['sales.*'] }, [], 'tables[0]: sales.* matches no table'],
    [
      'one table twice, spelled differently',
      { tables: ['orders', 'public."orders"'] },
      [],
      'tables[1]: public.orders is copied by tables[0] too',
    ],
    [
      'two tables to one target',
      { tables: ['a.x', { from: 'b.x', to: 'a.x' }] },
      [],
      'tables[1]: b.x goes to a.x, which is the target of tables[0] too',
    ],
    ['two patterns over one table', { tables: ['a.*', 'a.x*'] }, ['a.x'], 'tables[1]: a.x is copied by tables[0] too'],
    ['a table onto itself', { destination: 'shop' }, [], 'tables[0]: public.orders would be copied onto itself'],
    [
      'too many tables',
      { tables: ['a.*'] },
      Array.from({ length: 2001 }, (_, n) => `a.t${n}`),
      'tables: 2001 tables match, more than 2000',
    ],
  ])('refuses %s', async (_, change, names, expected) => {
    const { job, problems } = await expand(change, names);
    expect(job).toBeUndefined();
    expect(formatProblems(problems)).toContain(expected);
  });

  it('passes on an error of the source', async () => {
    const failing = () => Promise.reject(new Error('away'));
    await expect(expandTables(parseJob({ ...FIVE_LINES, tables: ['a.*'] }), failing)).rejects.toThrow('away');
  });
});

it('has a JSON Schema that knows its keys and units', () => {
  const schema = jobJsonSchema() as { required: string[]; properties: Record<string, unknown> };
  expect(schema.required).toEqual(['name', 'source', 'destination', 'tables']);
  expect(schema.properties.mode).toMatchObject({ enum: ['replace', 'append'], default: 'replace' });
});
