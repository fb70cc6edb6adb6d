import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import type { JobReport } from '../../workflows/messages.js';
import { runSql } from '../support/postgres.js';
import {
  bothHold,
  committed,
  copied,
  endAtOnce,
  kill,
  midCopy,
  progressOf,
  runOf,
  sessionsLeft,
  snapshotScenes,
  TABLES,
  witness,
  type Scene,
} from '../support/snapshot-scene.js';
import { failureOfWorkflow, until } from '../support/workflows.js';

/** Jobs with `consistency: snapshot`, on worker processes, from a source that is written to all the time. */

const scene = snapshotScenes('snapshot_job');

test('a copy of a source that changes equals its snapshot, and lets go of it', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start();
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here);
  await expect(runSql(here.sourceUrl, `SET lock_timeout TO '200ms'; TRUNCATE s.b`)).rejects.toThrow(/lock timeout/);
  expect((await progressOf(handle)).snapshot).toMatchObject({ number: 1, state: 'held', restarts: 0 });
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, state: 'released', restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
  expect(await sessionsLeft(here)).toHaveLength(0);
});

test('a snapshot outlives the SIGKILL and the SIGTERM of its worker: no table starts over', async () => {
  const here = await scene();
  const first = await here.workers.start();
  const handle = await here.start();
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here);
  await kill(first);
  await sleep(1_000);
  const second = await here.workers.start();
  await midCopy(here, (await committed(here)) + 5);
  await second.stop('SIGTERM');
  await here.workers.start();
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
  expect(await sessionsLeft(here)).toHaveLength(0);
}, 300_000);

test('when the sessions that hold it are ended, all starts over under a new snapshot, once', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start();
  const run = await runOf(handle);
  const first = await witness(here, run, 1);
  await midCopy(here);
  await endAtOnce(here, await bothHold(here, run, 1));
  const second = await witness(here, run, 2);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 1 });
  expect(report.snapshot!.note).toContain('no session holds snapshot 1');
  expect(await copied(here)).toEqual(await second());
  expect(await copied(here)).not.toEqual(await first());
  const staging = await runSql(here.destinationUrl, `SELECT FROM pg_class WHERE relname LIKE '\\_longhaul\\_%'`);
  expect(staging).toHaveLength(0);
});

test('with onSnapshotLost: fail the job ends, suspended; resumed, it starts over and says so', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start({ onSnapshotLost: 'fail' });
  const run = await runOf(handle);
  await midCopy(here);
  await endAtOnce(here, await bothHold(here, run, 1));
  const failure = await failureOfWorkflow(handle);
  expect(failure.type).toBe('SnapshotLost');
  expect(failure.message).toContain('onSnapshotLost: fail');
  expect(failure.message).toContain(`"resume": "${run}"`);
  const states = await runSql<{ state: string }>(here.destinationUrl, 'SELECT DISTINCT state FROM longhaul.run_tables');
  expect(states).toEqual([{ state: 'suspended' }]);
  const again = await here.start({ onSnapshotLost: 'fail', resume: run });
  const seen = await witness(here, run, 2);
  const report = (await again.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 0 });
  expect(report.warnings.join()).toContain('2 unfinished tables of this run start over under snapshot 2');
  expect(await copied(here)).toEqual(await seen());
});

test('ranges of pages under a snapshot, with digests, while every row moves to other pages', async () => {
  const here = await scene();
  await here.workers.start();
  const defaults = { partition: { by: 'pages', count: 20 }, verify: 'checksum' };
  const handle = await here.start({ defaults });
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here, 1);
  for (let moved = 0; moved < 3; moved++)
    for (const table of TABLES)
      for (const statement of [`UPDATE ${table} SET note = note || 'moved'`, `VACUUM ${table}`])
        await runSql(here.sourceUrl, statement);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
  const receipts = await runSql<{ all: number; digested: number }>(
    here.destinationUrl,
    'SELECT count(*)::int AS all, count(digest)::int AS digested FROM longhaul.receipts',
  );
  expect(receipts).toEqual([{ all: 40, digested: 40 }]);
});

/** Keeps the snapshot alive as a holder does, but locks no table; it ends with the test. */
async function holdUnlocked({ sourceUrl }: Scene, run: string, id: string): Promise<void> {
  const client = new Client({ connectionString: sourceUrl });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
  await client.query(`SELECT set_config('application_name', $1 || pg_export_snapshot(), false)`, [
    holderPrefix({ run, snapshot: 1 }),
  ]);
}

/** The statement waits for the holder's lock, and gets its own before the next holder does: the snapshot lives, without the table. */
async function rewriteUnder(scene: Scene, run: string, statement: string): Promise<void> {
  const held = await bothHold(scene, run, 1);
  await holdUnlocked(scene, run, held[0]!.id);
  const rewritten = runSql(scene.sourceUrl, statement);
  await until(async () => {
    const waiting = await runSql(
      scene.sourceUrl,
      `SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted`,
    );
    return waiting.length > 0;
  });
  await endAtOnce(scene, held);
  await rewritten;
}

test('a table that is rewritten while nobody locks it starts over under a new snapshot, with the others', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start();
  const run = await runOf(handle);
  await midCopy(here);
  await rewriteUnder(here, run, 'VACUUM FULL s.b');
  const seen = await witness(here, run, 2);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 1 });
  expect(report.snapshot!.note).toContain('s.b was truncated, rewritten or replaced');
  expect(await copied(here)).toEqual(await seen());
}, 300_000);

test('a table that is truncated while nobody locks it ends a job with onSnapshotLost: fail; resumed, it starts over', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start({ onSnapshotLost: 'fail' });
  const run = await runOf(handle);
  await midCopy(here);
  await rewriteUnder(here, run, 'TRUNCATE s.b');
  const failure = await failureOfWorkflow(handle);
  expect(failure.type).toBe('SourceRewritten');
  expect(failure.message).toContain('s.b was truncated, rewritten or replaced');
  expect(failure.message).toContain(`"resume": "${run}"`);
  const again = await here.start({ resume: run });
  const seen = await witness(here, run, 2);
  const report = (await again.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
}, 300_000);
