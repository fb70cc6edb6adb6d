import pc from 'picocolors';
import { expect, test } from 'vitest';
import { outcomeJson } from '../../src/cli/conclude.js';
import { screenRows } from '../../src/cli/follow/bars.js';
import { summaryLine, tableNews } from '../../src/cli/follow/lines.js';
import { exitCodeOf, type Outcome } from '../../src/cli/follow/outcome.js';
import { Pace } from '../../src/cli/follow/pace.js';
import { jobTable, troubleLines } from '../../src/cli/follow/report.js';
import { expectedRows, fractionDone, waitsForPerson, type JobView, type TableView } from '../../src/cli/follow/view.js';

const colors = pc.createColors(false);

function table(name: string, over: Partial<TableView> = {}): TableView {
  return {
    ...{ table: name, to: name, mode: 'replace', phase: 'copying', partitions: 10, estimatedRows: 1_000 },
    ...{ committed: 0, running: 2, rows: 0, bytes: 0, retries: 0, skipped: 0, parked: [], slots: 2 },
    ...{ startedAt: '2026-01-01T00:00:00.000Z', inFlight: { rows: 0, bytes: 0 } },
    ...over,
  };
}

const PARKED = { ordinal: 16, label: '17/100', code: 'DataRejected', error: 'a value was refused' };

function view(tables: TableView[], at = 0): JobView {
  const startedAt = '2026-01-01T00:00:00.000Z';
  const job = {
    run: 'r1',
    name: 'nightly',
    phase: 'copying',
    parallelism: 4,
    tables,
    warnings: [],
    startedAt,
  } as const;
  return { job, tables, at };
}

test('what is committed tells how many rows to expect; before that the plan does', () => {
  expect(expectedRows(table('t'))).toBe(1_000);
  expect(expectedRows(table('t', { committed: 2, rows: 300 }))).toBe(1_500);
  expect(expectedRows(table('t', { inFlight: { rows: 1_200, bytes: 0 } }))).toBe(1_200);
});

test('a bar is full only when every partition is committed', () => {
  expect(fractionDone(table('t', { committed: 5, rows: 500 }))).toBe(0.5);
  expect(fractionDone(table('t', { inFlight: { rows: 5_000, bytes: 0 } }))).toBe(0.99);
  expect(fractionDone(table('t', { committed: 10, rows: 1_000 }))).toBe(1);
});

test('a job waits for a person only when nothing else runs', () => {
  const waiting = table('a', { phase: 'waiting on parked', parked: [PARKED] });
  expect(waitsForPerson([waiting, table('b', { phase: 'published' })])).toBe(true);
  expect(waitsForPerson([waiting, table('b')])).toBe(false);
  expect(waitsForPerson([waiting, table('b', { phase: 'queued' })])).toBe(false);
  expect(waitsForPerson([table('b', { phase: 'published' })])).toBe(false);
});

test('rows of a failed attempt make no negative rate, and an end can be told from the pace', () => {
  const pace = new Pace();
  pace.record(view([table('t', { inFlight: { rows: 400, bytes: 0 } })], 0));
  pace.record(view([table('t', { inFlight: { rows: 100, bytes: 0 } })], 1_000));
  expect(pace.rate('t')).toBe(0);
  expect(pace.timeLeft([table('t')])).toBeUndefined();
  const half = table('t', { committed: 5, rows: 500 });
  pace.record(view([half], 2_000));
  expect(pace.rate('t')).toBe(50);
  expect(pace.timeLeft([half])).toBe(10_000);
});

test('news are changes of phase and newly parked partitions, each once', () => {
  const before = table('public.orders', { phase: 'preparing' });
  const now = table('public.orders', { parked: [PARKED] });
  expect(tableNews(before, now, 0)).toEqual([
    '▸ copying  public.orders: 10 partitions, about 1,000 rows',
    '‖ parked  public.orders 17/100: DataRejected: a value was refused',
  ]);
  expect(tableNews(now, now, 0)).toEqual([]);
  expect(tableNews(undefined, table('q', { phase: 'queued' }), 0)).toEqual([]);
});

test.each([
  [80, 24],
  [140, 30],
  [40, 6],
])('the moving part of the screen fits into %i columns and %i lines', (width, height) => {
  const tables = Array.from({ length: 40 }, (_, i) =>
    table(`sales.a_rather_long_name_of_a_table_${i}`, { committed: 3, rows: 3_333_333, retries: 2, parked: [PARKED] }),
  );
  const look = { width: () => width, height: () => height, colors };
  const rows = screenRows(view(tables), new Pace(), look);
  expect(rows.length).toBeLessThan(height);
  expect(Math.max(...rows.map((row) => row.length))).toBeLessThan(width);
  expect(rows.at(-1)).toMatch(/^0 of 40 tables/);
});

test('the summary counts what is seen', () => {
  const tables = [table('a', { phase: 'published', rows: 700 }), table('b', { inFlight: { rows: 50, bytes: 0 } })];
  expect(summaryLine(view(tables), new Pace())).toBe('1 of 2 tables published · 750 rows');
});

test.each([80, 140])('the table of results fits into %i columns, whatever the names', (width) => {
  const { job } = view([table('x'.repeat(90), { rows: 12_345_678_901, bytes: 9e12 }), table('b')]);
  const lines = jobTable(job, { width: () => width, colors }, Date.parse('2026-01-01T10:00:00Z')).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
  expect(lines).toHaveLength(4);
});

test('parked partitions are listed with their last error, the many only counted', () => {
  const parked = Array.from({ length: 12 }, (_, ordinal) => ({ ...PARKED, ordinal, label: `${ordinal + 1}/100` }));
  const { job } = view([table('a', { phase: 'waiting on parked', parked }), table('b', { phase: 'queued' })]);
  const lines = troubleLines(job, { width: () => 80, colors });
  expect(lines[0]).toBe('‖ waiting on parked  a: 12 parked partitions');
  expect(lines[1]).toBe('    a 1/100: DataRejected: a value was refused');
  expect(lines.slice(-2)).toEqual(['    … and 2 more (--json lists all)', '· queued  1 table']);
});

test('rows that were set aside are counted, and shown by a statement once it is known where they are', () => {
  const aside = table('erp.items', { phase: 'published', quarantined: 12, rejectsTable: '"longhaul".rejects' });
  const { job } = view([aside, table('b', { quarantined: 1 }), table('c', { phase: 'published' })]);
  expect(troubleLines(job, { width: () => 80, colors })).toEqual([
    '! rejects  erp.items: 12 rows refused and set aside',
    `    SELECT * FROM "longhaul".rejects WHERE run = 'r1' AND table_name = 'erp.items' ORDER BY partition, number`,
    '▸ copying  b',
    '! rejects  b: 1 row refused and set aside',
  ]);
  expect(tableNews(undefined, aside, 0).join()).toMatch(/; 12 rows refused and set aside$/);
});

test('exit codes', () => {
  const named = { workflowId: 'nightly', runId: 'r1' };
  const failed = (code?: string): Outcome => ({
    ...named,
    kind: 'failed',
    failure: { message: 'no', ...(code === undefined ? {} : { code }) },
  });
  const all: Outcome[] = [
    { ...named, kind: 'complete' },
    failed(),
    failed('JobInvalid'),
    { ...named, kind: 'waiting on parked' },
    { ...named, kind: 'complete with skips' },
    { ...named, kind: 'complete with rejects' },
    { ...named, kind: 'cancelled', failure: { message: 'The job was cancelled.' } },
  ];
  expect(all.map(exitCodeOf)).toEqual([0, 1, 2, 3, 4, 4, 1]);
});

test('the JSON of an outcome has totals and every table, and nothing of the moment', () => {
  const { job } = view([table('a', { rows: 5, bytes: 50 }), table('b', { rows: 7, bytes: 70 })]);
  const json = outcomeJson({ workflowId: 'nightly', runId: 'r1', kind: 'complete', progress: job });
  expect(json).toMatchObject({
    workflowId: 'nightly',
    run: 'r1',
    outcome: 'complete',
    exitCode: 0,
    rows: 12,
    bytes: 120,
  });
  expect(json.tables).toMatchObject([{ table: 'a', rows: 5 }, { table: 'b' }]);
});
