import { setTimeout as sleep } from 'node:timers/promises';
import type { FailPoint } from '../../../src/core/fail-points.js';
import type { FailurePlan } from '../failure-plan.js';
import { clean, eventually, longhaul, settled } from '../hand.js';
import type { FaultKind } from '../kind.js';
import { LAKES } from '../lakes.js';
import { isPublished } from '../look.js';
import type { Scene } from '../scene.js';
import type { WorkerProcess } from '../stack.js';

/** Workers that die, or are frozen, at named steps of a job into a lake: see `src/core/fail-points.ts`. */

/** All that a table meets whose rows go to a lake, in the order in which it comes to them. */
export const TABLE_POINTS = [
  'prepare: before lock',
  'plan: before page',
  'plan: before COMMIT',
  'plan: after COMMIT',
  'copy: before lock',
  'copy: after sessions',
  'copy: before first row',
  'copy: after counts',
  'copy: before COMMIT',
  'copy: after COMMIT',
  'copy: before answer',
  'publish: before fence',
  'publish: after fence COMMIT',
  'publish: before COMMIT',
  'publish: after swap',
  'publish: after COMMIT',
  'publish: before answer',
] as const satisfies readonly FailPoint[];

const JOB_POINTS = ['open: before transaction', 'open: before COMMIT', 'open: after COMMIT'] as const;

/** While it works, no worker but those that it starts gets anything to do. */
async function withoutOthers<T>({ stack }: Scene, work: () => Promise<T>): Promise<T> {
  const others = stack.alive;
  for (const worker of others) worker.freeze(true);
  try {
    return await work();
  } finally {
    for (const worker of others) worker.thaw();
  }
}

/** Starts the job on workers that die at these points, each workflow at its own; `again`: so often, at whatever step comes next. */
export async function dieAt(scene: Scene, points: Readonly<Record<string, FailPoint>>, again: number): Promise<void> {
  const ids = Object.keys(points);
  await withoutOthers(scene, async () => {
    for (let life = 0; life <= again; life++) {
      const planned = (id: string) => [id, { stop: life === 0 ? points[id]! : ('any' as const) }] as const;
      const { worker, reached } = await scene.stack.startFailing(Object.fromEntries(ids.map(planned)));
      if (life === 0) await scene.start();
      const died = await scene.until(() => reached() && !worker.alive, DIES_WITHIN);
      if (died) scene.struck(ids.length);
      else await worker.kill();
    }
  });
}

/** Milliseconds until all workflows have come to their points, after a heartbeat timeout or two, on a busy machine. */
const DIES_WITHIN = 300_000;

/** Points that are chosen by chance: of the job itself, or one for each table. */
function somePoints({ random, name }: Scene, ids: readonly string[]): Record<string, FailPoint> {
  if (random.chance(0.15)) return { [name]: random.pick(JOB_POINTS) };
  return Object.fromEntries(ids.map((id) => [id, random.pick(TABLE_POINTS)]));
}

const death: FaultKind = {
  name: 'lake-step',
  about: 'the workers die at some step of opening, planning, copying and publishing; at times twice, or three times',
  into: LAKES,
  shape: { tables: 2, partitions: 3 },
  async run(scene) {
    const ids = [1, 2].map((number) => `${scene.name}/${scene.schema}.t${number}`);
    await dieAt(scene, somePoints(scene, ids), scene.random.pick([0, 0, 1, 2]));
  },
};

/** Between the first row and the receipt: what it uploads comes when others have done it too. */
const UPLOADING = [
  'copy: after sessions',
  'copy: before first row',
  'copy: after counts',
  'copy: before COMMIT',
] as const;

/** Starts the job on a worker of its own that is frozen at these points. Undefined: it never came to them. */
async function frozenAt(scene: Scene, workflows: FailurePlan['workflows']): Promise<WorkerProcess | undefined> {
  return withoutOthers(scene, async () => {
    const { worker, reached } = await scene.stack.startFailing(workflows, true);
    await scene.start();
    if (await scene.until(reached)) {
      worker.freeze(scene.random.chance(0.7));
      return worker;
    }
    await worker.kill();
    return undefined;
  });
}

/** It goes on with what it had in hand, and ends. */
async function wake(worker: WorkerProcess): Promise<void> {
  worker.thaw();
  await sleep(AWAKE);
  await worker.kill('SIGTERM');
}

/** Milliseconds that it has for its upload, and for whatever harm it can do. */
const AWAKE = 3_000;

const afterPublish: FaultKind = {
  name: 'lake-upload-after-publish',
  about:
    'a worker is frozen between its first row and its receipt, or before its commit; it goes on when others have published',
  into: LAKES,
  shape: { tables: 2, partitions: 3, seconds: 1 },
  async run(scene) {
    const { random, name, schema } = scene;
    const stop = random.pick([...UPLOADING, 'publish: before COMMIT'] as const);
    const other = random.pick(UPLOADING);
    const worker = await frozenAt(scene, {
      [`${name}/${schema}.t1`]: { stop },
      [`${name}/${schema}.t2`]: { stop: other },
    });
    if (worker === undefined) return;
    if (await eventually(scene, () => isPublished(scene))) scene.struck();
    await wake(worker);
  },
};

const afterClean: FaultKind = {
  name: 'lake-upload-after-clean',
  about:
    'a worker is frozen between its first row and its receipt; the run is given up and cleaned, or published and forgotten; then it goes on',
  into: LAKES,
  shape: { tables: 1, partitions: 3, seconds: 1 },
  async run(scene) {
    const { random } = scene;
    const worker = await frozenAt(scene, { [`${scene.name}/${scene.schema}.t1`]: { stop: random.pick(UPLOADING) } });
    if (worker === undefined) return;
    if (random.chance(0.4)) await published(scene);
    else await givenUp(scene);
    scene.struck();
    await wake(worker);
    if (scene.discarded.has(scene.run)) await scene.start();
  },
};

/** Its plan and receipts are gone, and `clean` will not come to it any more by itself. */
async function published(scene: Scene): Promise<void> {
  await settled(scene);
  await sleep(1_100);
  await longhaul(scene, 'clean', '--older', '1s', '--destination', scene.target.connection);
  scene.expected = { forgotten: true };
}

async function givenUp(scene: Scene): Promise<void> {
  await scene.handle.terminate('chaos');
  await settled(scene);
  await clean(scene);
  if (scene.random.chance(0.5)) await scene.start();
}

export const LAKE_STEP_KINDS: readonly FaultKind[] = [death, afterPublish, afterClean];
