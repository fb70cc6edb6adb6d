import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTemporalServer } from '../../src/devstack/temporal-server.js';
import type { JobProgress } from '../../workflows/messages.js';
import { runSql } from '../support/postgres.js';
import { testServers } from '../support/servers.js';
import { until } from '../support/workflows.js';
import { QUERIES, ROWS, Worlds } from '../support/world.js';

/** Runs that ended early, from the outside: resumed, discarded, expired, cleaned; with real servers and the program itself. */

let worlds: Worlds;
beforeAll(async () => {
  worlds = await Worlds.start();
});
afterAll(() => worlds.stop());

const ALL = { rows: ROWS, ids: ROWS };

test("a run goes on when Temporal's database was deleted: nothing is copied again, every row arrives once", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-temporal-'));
  const { cli } = testServers().temporal;
  const first = await startTemporalServer({ dbFile: join(folder, 'a.db'), headless: true, cli });
  let run: string;
  let before: unknown[];
  {
    await using world = await worlds.make('lost', { address: first.address });
    const { name, run: started } = await world.stuck();
    run = started;
    const [parked] = (await world.progress(name)).tables[0]!.parked;
    expect(parked).toMatchObject({ ordinal: 2, label: 'c' });
    const update = [
      'workflow',
      'update',
      'execute',
      '--workflow-id',
      name,
      '--name',
      'retry',
      '--address',
      first.address,
    ];
    const input = ['--input', '{"partitions": ["items/c"]}', '--output', 'json'];
    expect((await promisify(execFile)(cli, [...update, ...input])).stdout).toContain('"retried": 1');
    const wrong = promisify(execFile)(cli, [...update, '--input', '{"partitions": ["items/a"]}']);
    await expect(wrong).rejects.toThrow(/items\/a is not parked; nothing was done/);
    await until(async () => (await world.progress(name)).phase === 'waiting on parked');
    before = await world.receipts(run);
    expect(before).toHaveLength(3);
  }
  await first.stop();
  await rm(join(folder, 'a.db'));
  const second = await startTemporalServer({ dbFile: join(folder, 'b.db'), headless: true, cli });
  {
    await using world = await worlds.make('lost', { address: second.address, again: true });
    const [listed] = await world.ls();
    expect(listed).toMatchObject({ run, workflow: 'gone', states: { open: 1 }, rows: 3_000 });
    const kept = await world.longhaul('clean', '--older', '1ms', '--destination', 'warehouse');
    expect([kept.code, kept.out]).toEqual([0, expect.stringContaining('this Temporal knows no job')]);
    await world.openGate();
    const { file } = await world.jobFile();
    const resumed = await world.longhaul('run', file, '--resume', run);
    expect(resumed.code, resumed.err).toBe(0);
    expect(await world.copied()).toEqual(ALL);
    const after = await world.receipts(run);
    expect(after).toHaveLength(4);
    expect(after.filter(({ partition }) => partition !== 2)).toEqual(before);
    expect(await world.ls(run)).toMatchObject([{ run, states: { published: 1 }, rows: ROWS }]);
  }
  await second.stop();
  await rm(folder, { recursive: true, force: true });
}, 300_000);

describe('a run whose workflow was terminated', () => {
  test('holds its target, is refused when something changed, and goes on when nothing did', async () => {
    await using world = await worlds.make('ended');
    const { file, name, run } = await world.stuck();
    await world.client.workflow.getHandle(name).terminate('by the test');
    expect(await world.ls(run)).toMatchObject([{ run, job: name, workflow: 'ended', states: { open: 1 } }]);
    const before = await world.receipts(run);

    const other = await world.longhaul('run', (await world.jobFile()).file);
    expect(other.code).toBe(1);
    expect(other.err).toContain(`Target public.items of connection "warehouse" is held by run ${run} of job ${name}`);
    expect(other.err).toContain(`longhaul clean --run ${run}`);

    const refused = async (job: object, part: string) => {
      const changed = await world.jobFile(job);
      const { code, err } = await world.longhaul('run', changed.file, '--resume', run);
      expect(code).toBe(1);
      expect(err).toContain(part);
      expect(await world.receipts(run)).toEqual(before);
    };
    const table = { table: 'items', to: 'public.items' };
    const queries = QUERIES.map((query) => ({ ...query, sql: `${query.sql} AND true` }));
    await refused({ tables: [{ ...table, queries }] }, 'items: its specification changed: queries');
    await refused({ tables: [{ ...table, table: 'other', queries: QUERIES }] }, 'items: no longer in the job');
    await runSql(world.destinationUrl, 'CREATE TABLE public.items (id int, note text)');
    await refused({}, 'items: its target changed');
    await runSql(world.destinationUrl, 'DROP TABLE public.items');
    await runSql(
      world.destinationUrl,
      'CREATE SCHEMA there; CREATE TABLE public.items (id int, note text); CREATE TABLE gate (open int)',
    );
    await refused({ source: 'warehouse' }, 'items: its source is another server or database');
    await runSql(world.destinationUrl, 'DROP TABLE public.items, gate');
    await runSql(world.sourceUrl, 'ALTER TABLE items ALTER note TYPE varchar(50)');
    await refused({}, 'items: its source changed: column note was text and is character varying(50)');
    await runSql(world.sourceUrl, 'ALTER TABLE items ALTER note TYPE text');
    await refused({ tables: [{ ...table, queries: QUERIES }, 'public.gate'] }, 'public.gate: not in the run');

    await world.openGate();
    const { code, err } = await world.longhaul('run', file, '--resume', run);
    expect(code, err).toBe(0);
    expect(await world.copied()).toEqual(ALL);
    expect((await world.receipts(run)).filter(({ partition }) => partition !== 2)).toEqual(before);
    const unknown = await world.longhaul('run', file, '--resume', 'nobody');
    expect(unknown.err).toContain('The ledger of connection "warehouse" knows no run nobody');
  }, 300_000);
});

test('a run is taken over from no workflow that is at work on it, whether it began the run or resumed it', async () => {
  await using world = await worlds.make('under_way');
  const { name, run } = await world.stuck();
  const before = await world.receipts(run);
  const resume = async (job: string, code: number) => {
    const { file, name } = await world.jobFile();
    const ran = await world.longhaul('run', file, '--resume', run);
    expect(ran.code, ran.err).toBe(code);
    if (code === 1) expect(ran.err).toContain(`Run ${run} is under way as job "${job}"; nothing was touched.`);
    expect(await world.receipts(run)).toEqual(before);
    return name;
  };
  await resume(name, 1);
  expect((await world.progress(name)).phase).toBe('waiting on parked');
  await world.client.workflow.getHandle(name).terminate('by the test');
  // Another run of the first job's id doesn't hold this one back.
  const other = await world.jobFile({ name, tables: ['public.gate'] });
  expect((await world.longhaul('run', other.file, '--id', name)).code).toBe(0);
  const second = await resume(name, 3);
  await resume(second, 1);

  // Its own workflow, reset, opens the run once more.
  const { cli, address } = testServers().temporal;
  const reset = ['workflow', 'reset', '--workflow-id', second, '--event-id', '4', '--reason', 'by the test'];
  await promisify(execFile)(cli, [...reset, '--address', address]);
  await until(async () => (await world.progress(second)).phase === 'waiting on parked');
  await world.openGate();
  expect((await world.longhaul('retry', second)).code).toBe(0);
  expect((await world.longhaul('watch', second)).code).toBe(0);
  expect(await world.copied()).toEqual(ALL);
}, 300_000);

describe('what ended runs leave', () => {
  test('clean shows it, removes it, and leaves a running job alone', async () => {
    await using world = await worlds.make('cleaned');
    const at = ['--destination', 'warehouse'];
    const { name, run } = await world.stuck();
    const running = await world.longhaul('clean', '--run', run, ...at);
    expect([running.code, running.out]).toEqual([1, '']);
    expect(running.err).toContain(`Run ${run} is under way as job "${name}"; nothing was removed.`);
    expect(running.err).toContain(`longhaul cancel ${name}`);
    const old = await world.longhaul('clean', '--older', '1ms', ...at);
    expect(old.out).toContain(`is kept: job ${name} is running`);
    expect(await world.staging()).toHaveLength(1);

    const typo = `${run.slice(0, -1)}x`;
    const unknown = await world.longhaul('clean', '--run', typo, ...at);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain(
      `No ledger of warehouse knows run "${typo}"; nothing was removed. Did you mean ${run}?`,
    );
    expect((await world.longhaul('clean', '--older', '7', ...at)).err).toContain('"7" is not a duration');

    expect((await world.longhaul('cancel', name)).code).toBe(0);
    expect((await world.longhaul('watch', name)).code).toBe(1);
    const [listed] = await world.ls(run);
    expect(listed).toMatchObject({
      workflow: 'cancelled',
      states: { suspended: 1 },
      keptUntil: expect.anything() as unknown,
    });
    const shown = await world.longhaul('clean', '--run', run, '--dry-run', ...at);
    expect(shown.out).toMatch(/items: public\._longhaul_[0-9a-f]{24}, .*KB/);
    expect(shown.out).toContain('Nothing was touched.');
    expect(await world.staging()).toHaveLength(1);
    const cleaned = await world.longhaul('clean', '--run', run, ...at);
    expect([cleaned.code, cleaned.out]).toEqual([0, expect.stringContaining('✔ cleaned')]);
    expect(await world.staging()).toEqual([]);
    expect(await world.receipts(run)).toHaveLength(3);
    await world.longhaul('clean', '--older', '1ms', ...at);
    expect(await world.receipts(run)).toEqual([]);
    expect(await world.ls(run)).toMatchObject([
      { states: { discarded: 1 }, forgottenAt: expect.anything() as unknown },
    ]);

    // As when somebody drops the ledger: who made what is left can still be told.
    await world.stuck();
    await runSql(world.destinationUrl, 'DELETE FROM longhaul.run_tables WHERE run <> $1', [run]);
    const orphan = await world.longhaul('clean', '--dry-run', ...at);
    expect(orphan.err).toMatch(/! orphan {3}public\._longhaul_[0-9a-f]{24} at warehouse/);
  }, 300_000);

  test('cancel --discard removes what was loaded; so does its signal alone, should the program end in between', async () => {
    await using world = await worlds.make('discarded');
    const { name, run, file } = await world.stuck();
    expect((await world.longhaul('cancel', name, '--discard')).code).toBe(0);
    expect((await world.longhaul('watch', name)).out).toContain('■ cancelled');
    expect((await world.client.workflow.getHandle(name).describe()).status.name).toBe('CANCELLED');
    expect(await world.staging()).toEqual([]);
    expect((await world.longhaul('run', file, '--resume', run)).err).toContain('removed by cancel --discard or clean');

    const second = await world.stuck();
    const handle = world.client.workflow.getHandle(second.name);
    await handle.signal('discard');
    await expect(handle.result()).rejects.toThrow();
    expect(await world.staging()).toEqual([]);
    expect(await world.ls(second.run)).toMatchObject([{ states: { discarded: 1 } }]);

    // As of a ledger that was filled from elsewhere: Temporal refuses to look for what it could not have named so.
    for (const table of ['runs', 'run_tables']) {
      await runSql(
        world.destinationUrl,
        `ALTER TABLE longhaul.run_tables DROP CONSTRAINT IF EXISTS run_tables_run_fkey`,
      );
      await runSql(world.destinationUrl, `UPDATE longhaul.${table} SET run = 'by hand' WHERE run = $1`, [second.run]);
    }
    expect(await world.ls('by hand')).toMatchObject([{ run: 'by hand', workflow: 'gone' }]);
  }, 300_000);

  test('staging whose keepStaging is over is removed by the next run, which says so', async () => {
    await using world = await worlds.make('expired');
    const { name, run, file } = await world.stuck({ keepStaging: '1h' });
    await world.longhaul('cancel', name);
    await world.longhaul('watch', name);
    const age = "UPDATE longhaul.run_tables SET changed_at = changed_at - interval '59 minutes'";
    await runSql(world.destinationUrl, age);
    const next = async () => {
      const { file } = await world.jobFile({ tables: ['public.gate'] });
      return (JSON.parse((await world.longhaul('run', file, '--json')).out) as JobProgress).warnings;
    };
    expect(await next()).toEqual([]);
    expect(await world.staging()).toHaveLength(1);
    await runSql(world.destinationUrl, age);
    expect(await next()).toEqual([
      expect.stringMatching(`of table items of run ${run} was removed: its keepStaging was over`),
    ]);
    expect(await world.staging()).toEqual([]);
    const resumed = await world.longhaul('run', file, '--resume', run);
    expect([resumed.code, resumed.err]).toEqual([1, expect.stringContaining('because keepStaging was over')]);
  }, 300_000);
});

test('publish: partition shows each partition once, tells which are visible when the job fails, and goes on', async () => {
  await using world = await worlds.make('visible');
  const table = { table: 'items', to: 'public.items', queries: QUERIES, mode: 'append', publish: 'partition' };
  await runSql(
    world.destinationUrl,
    `CREATE TABLE items (id int PRIMARY KEY, note text, extra int DEFAULT 7); INSERT INTO items VALUES (3, 'mine')`,
  );
  const { file } = await world.jobFile({ tables: [table], onFailure: 'fail' });
  const { code, out, err } = await world.longhaul('run', file);
  expect(code, out + err).toBe(1);
  expect(err).toContain('but for partitions published one by one');
  expect(err).toMatch(/d: DataRejected/);
  expect(err).toContain('items: 2 of 4 partitions are visible in public.items: 1-2');
  expect(await world.copied()).toEqual({ rows: 2_001, ids: 2_001 });
  const [listed] = await world.ls();
  expect(listed!.tables).toMatchObject([{ state: 'suspended', visible: expect.stringContaining('1-2') as unknown }]);

  await runSql(world.destinationUrl, 'DELETE FROM items WHERE id = 3');
  await world.openGate();
  const resumed = await world.longhaul('run', file, '--resume', listed!.run!);
  expect(resumed.code, resumed.err).toBe(0);
  expect(await world.copied()).toEqual(ALL);
  expect(await world.staging()).toEqual([]);
  expect(await runSql(world.destinationUrl, 'SELECT DISTINCT extra FROM items')).toEqual([{ extra: 7 }]);
}, 300_000);
