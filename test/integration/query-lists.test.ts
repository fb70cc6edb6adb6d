import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PartitionView } from '../../src/core/activities.js';
import { runSql } from '../support/postgres.js';
import { testServers } from '../support/servers.js';
import { until } from '../support/workflows.js';
import { QUERIES, ROWS, Worlds, type World } from '../support/world.js';

/** Jobs whose queries are in a control table or a file, from the outside: real servers, workers and the program itself. */

let worlds: Worlds;
beforeAll(async () => {
  worlds = await Worlds.start();
});
afterAll(() => worlds.stop());

const ALL = { rows: ROWS, ids: ROWS };
const MARK = `UPDATE _extract SET completed = now(), got = got || :rows || ','
  WHERE query_id = :query_id AND table_name = :table_name`;
const LIST = {
  connection: 'shop',
  sql: 'SELECT * FROM _extract WHERE completed IS NULL ORDER BY table_name, query_id',
};
const TABLES = [{ queriesFrom: { ...LIST, onCommitted: MARK }, to: 'public.{table}' }];

/** The world's four queries, of which `c` fails while the gate is shut, and one table more. */
async function fill(world: World): Promise<void> {
  const { sourceUrl } = world;
  await runSql(
    sourceUrl,
    `CREATE TABLE _extract (query_id text, table_name text, query text, completed timestamptz, got text DEFAULT '')`,
  );
  const insert = 'INSERT INTO _extract (query_id, table_name, query) VALUES ($1, $2, $3)';
  for (const { id, sql } of QUERIES) await runSql(sourceUrl, insert, [id, 'items', sql]);
  await runSql(sourceUrl, insert, ['a', 'few', 'SELECT id FROM public.items WHERE id < 10']);
}

const completed = async (world: World) =>
  (
    await runSql<{ name: string }>(
      world.sourceUrl,
      `SELECT table_name || '/' || query_id AS name FROM _extract WHERE completed IS NOT NULL ORDER BY 1`,
    )
  ).map(({ name }) => name);

test('a control table is kept up while its queries are copied, and a run goes on with the list that it began with', async () => {
  await using world = await worlds.make('lists_resume');
  await fill(world);
  const { file, name, run } = await world.stuck({ tables: TABLES });
  await until(async () => (await completed(world)).length === 4);
  expect(await completed(world)).toEqual(['few/a', 'items/a', 'items/b', 'items/d']);
  const stopped = await world.longhaul('status', name);
  expect(stopped.out).toContain('items c: DataRejected');
  const before = await world.receipts(run);

  // Reset: its list is empty of all but what failed, and would now be the whole of it.
  const { cli, address } = testServers().temporal;
  const reset = ['workflow', 'reset', '--workflow-id', name, '--event-id', '4', '--reason', 'by the test'];
  await promisify(execFile)(cli, [...reset, '--address', address]);
  await until(async () => (await world.progress(name)).phase === 'waiting on parked');
  expect((await world.progress(name)).tables).toMatchObject([{ table: 'few' }, { table: 'items', partitions: 4 }]);
  await world.client.workflow.getHandle(name).terminate('by the test');

  // Not even the control table is needed any more; others are told again of all that is committed.
  await runSql(world.sourceUrl, `DELETE FROM _extract WHERE table_name = 'few'; UPDATE _extract SET completed = NULL`);
  await world.openGate();
  const resumed = await world.longhaul('run', file, '--resume', run);
  expect(resumed.code, resumed.err).toBe(0);
  expect(await world.copied()).toEqual(ALL);
  expect((await world.receipts(run)).filter(({ xmin }) => before.some((each) => each.xmin === xmin))).toEqual(before);
  expect(await completed(world)).toEqual(['items/a', 'items/b', 'items/c', 'items/d']);
  const [{ got }] = (await runSql<{ got: string }>(
    world.sourceUrl,
    `SELECT got FROM _extract WHERE query_id = 'c' AND table_name = 'items'`,
  )) as [{ got: string }];
  expect(got).toMatch(/^(1000,)+$/);

  const listed = await world.longhaul('ls', run, 'items', '--destination', 'warehouse');
  expect(listed.out).toMatch(/^partition +state +rows +bytes +time +rows\/s\n(a|b) +committed +1,000 /);
  expect(listed.out).toMatch(/\ntotal +4,000 /);
  const json = await world.longhaul('ls', run, 'items', '--destination', 'warehouse', '--json');
  const views = JSON.parse(json.out) as PartitionView[];
  expect(views.map(({ partition, rows }) => [partition, rows])).toEqual(QUERIES.map(({ id }) => [id, 1_000]));
  const unknown = await world.longhaul('ls', run, 'item', '--destination', 'warehouse');
  expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('Its tables are: few, items')]);
}, 300_000);

test('their habit of listing what is not completed does not replace a table by its rest, unless that is meant', async () => {
  await using world = await worlds.make('lists_fewer');
  await fill(world);
  await world.openGate();
  const { file } = await world.jobFile({ tables: TABLES });
  const first = await world.longhaul('run', file);
  expect(first.code, first.err).toBe(0);
  expect(await completed(world)).toHaveLength(5);
  await runSql(world.sourceUrl, `UPDATE _extract SET completed = NULL WHERE query_id = 'b'`);
  for (const command of ['check', 'run']) {
    const { code, out, err } = await world.longhaul(command, file);
    expect(code).not.toBe(0);
    expect((out + err).replace(/\s+/g, ' ')).toContain(
      '1 query, fewer than the 4 that public.items was published from on',
    );
  }
  expect(await world.copied()).toEqual(ALL);
  expect((await world.longhaul('check', file, '--allow-fewer')).code).toBe(0);
  const allowed = await world.longhaul('run', file, '--allow-fewer');
  expect(allowed.code, allowed.err).toBe(0);
  expect(await world.copied()).toEqual({ rows: 1_000, ids: 1_000 });
}, 300_000);

test('a list is a file beside the worker; that its statement fails is a warning of a job that is complete', async () => {
  await using world = await worlds.make('lists_file');
  await fill(world);
  await world.openGate();
  const quoted = QUERIES.map(({ id, sql }) => `${id},items,"${sql}"`);
  await writeFile(
    join(dirname(world.workers.config), 'queries.csv'),
    ['query_id,table_name,query', ...quoted].join('\n'),
  );
  await runSql(
    world.sourceUrl,
    `CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
     CREATE TRIGGER never BEFORE UPDATE ON _extract FOR EACH ROW EXECUTE FUNCTION never()`,
  );
  const queriesFrom = { file: 'queries.csv', connection: 'shop', onCommitted: MARK };
  const { file, name } = await world.jobFile({ tables: [{ queriesFrom, to: 'public.{table}' }] });
  const { code, out, err } = await world.longhaul('run', file);
  expect(code, err).toBe(0);
  expect(await world.copied()).toEqual(ALL);
  expect(out.replace(/\s+/g, ' ')).toContain(
    "! warning items: the list's onCommitted was not run for 4 committed queries",
  );
  expect((await world.progress(name)).phase).toBe('complete');
  const { events } = await world.client.workflow.getHandle(name).fetchHistory();
  expect(JSON.stringify(events)).not.toContain('FROM public.items');
}, 300_000);
