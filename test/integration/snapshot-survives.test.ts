import type { WorkflowHandle } from '@temporalio/client';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { JobReport } from '../../workflows/messages.js';
import {
  bothHold,
  committed,
  copied,
  endAtOnce,
  holders,
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

/** What holds a snapshot is lost again and again, one part at a time: the copy is of the first snapshot all the same. */

const scene = snapshotScenes('snapshot_survives');

const LOSSES = 4;
const GATE = 1;
const PARTITIONS = 30;

/** Partitions of the first table take half a second at least; those of the second begin, and wait until the gate is opened. */
const SLOWLY = {
  parallelism: 4,
  defaults: { partition: { count: PARTITIONS }, where: '(SELECT pg_sleep(0.5)) IS NOT NULL' },
  tables: [TABLES[0], { from: TABLES[1], where: `(SELECT pg_advisory_xact_lock_shared(${GATE})) IS NOT NULL` }],
};

/** The job has ended well under its first snapshot, and has left nothing at the source. */
async function expectFirst(here: Scene, handle: WorkflowHandle, seen: () => Promise<string[]>): Promise<void> {
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, state: 'released', restarts: 0 });
  expect(report.snapshot!.note).toBeUndefined();
  expect(await copied(here)).toEqual(await seen());
  expect(await sessionsLeft(here)).toHaveLength(0);
}

/** Shut until it is called: the job can't end before all is done to it that is to be done. */
async function shutGate({ sourceUrl }: Scene): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: sourceUrl });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('SELECT pg_advisory_lock($1)', [GATE]);
  return () => client.end();
}

test('a snapshot outlives its workers, killed in turn again and again', async () => {
  const here = await scene();
  const openGate = await shutGate(here);
  let workers = await Promise.all([here.workers.start(), here.workers.start()]);
  const handle = await here.start(SLOWLY);
  const run = await runOf(handle);
  const seen = await witness(here, run, 1);
  await bothHold(here, run, 1);
  for (let kills = 0; kills < LOSSES; kills++) {
    await midCopy(here, Math.min((await committed(here)) + 1, PARTITIONS));
    await kill(workers[0]);
    workers = [workers[1], await here.workers.start()];
  }
  await Promise.all(workers.map(kill));
  await here.workers.start();
  await openGate();
  await expectFirst(here, handle, seen);
}, 300_000);

test('a snapshot outlives the sessions of its holders, ended one after the other again and again', async () => {
  const here = await scene();
  const openGate = await shutGate(here);
  await here.workers.start();
  const handle = await here.start(SLOWLY);
  const run = await runOf(handle);
  const seen = await witness(here, run, 1);
  await until(async () => (await progressOf(handle)).snapshot?.holders === 2);
  expect((await progressOf(handle)).snapshot!.heldXids).toBeGreaterThan(0);
  for (let ended = 0; ended < LOSSES; ended++) {
    const [oldest] = await bothHold(here, run, 1);
    await endAtOnce(here, [oldest!]);
    await until(async () => (await holders(here, run, 1)).every(({ pid }) => pid !== oldest!.pid));
  }
  await openGate();
  await expectFirst(here, handle, seen);
}, 300_000);

test('all holders ended at once are a loss: the job starts over once, or fails', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await here.start();
  const run = await runOf(handle);
  await endAtOnce(here, await bothHold(here, run, 1));
  const seen = await witness(here, run, 2);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 1 });
  expect(report.snapshot!.note).toContain('no session holds snapshot 1');
  expect(await copied(here)).toEqual(await seen());
  const failing = await here.start({ ...SLOWLY, onSnapshotLost: 'fail' });
  await endAtOnce(here, await bothHold(here, await runOf(failing), 1));
  expect((await failureOfWorkflow(failing)).type).toBe('SnapshotLost');
  expect(await sessionsLeft(here)).toHaveLength(0);
}, 300_000);
