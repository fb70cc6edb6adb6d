import { setTimeout as sleep } from 'node:timers/promises';
import { attempts, begunBy, busyWorker, type Begun } from '../attempts.js';
import { clean, eventually, settled } from '../hand.js';
import type { FaultKind } from '../kind.js';
import { isPublished, states } from '../look.js';
import type { Scene } from '../scene.js';
import type { WorkerProcess } from '../stack.js';

/** Workers that are frozen beyond their heartbeat timeout, and come back when others have done their work. */

export interface Zombie {
  readonly worker: WorkerProcess;
  /** What it was doing when it was frozen. */
  readonly had: readonly Begun[];
}

/** Milliseconds that a worker which was thawed has for whatever harm it can do. */
const AWAKE = 1_500;

/**
 * Freezes a worker that copies. `cutOff`: Temporal gives it nothing more to do, and hears of its end at once where it would have waited
 * for an answer. Undefined: the job ended before there was one.
 */
export async function freezeCopier(scene: Scene, { part = 0, cutOff = false } = {}): Promise<Zombie | undefined> {
  if (!(await scene.untilCopying(part))) return undefined;
  await scene.moment(800);
  let found: Zombie | undefined;
  await scene.until(async () => (found = await freezeNow(scene, cutOff)) !== undefined);
  return found;
}

async function freezeNow(scene: Scene, cutOff: boolean): Promise<Zombie | undefined> {
  const worker = await busyWorker(scene);
  if (worker === undefined) return undefined;
  worker.freeze(cutOff);
  const had = await begunBy(scene, worker);
  if (had.length > 0) return { worker, had };
  worker.thaw();
  return undefined;
}

/** So that a worker is found in the middle of its copying. */
export const SLOW = { seconds: 8 };

/** Whether each partition that the zombie had is committed by another. */
async function isDoneElsewhere(scene: Scene, { worker, had }: Zombie): Promise<boolean> {
  const all = await attempts(scene);
  return had.every(({ workflowId, activityId }) => {
    const its = all.find((each) => each.workflowId === workflowId && each.activityId === activityId);
    return all.some(
      (each) =>
        its !== undefined &&
        each.workflowId === workflowId &&
        each.ordinal === its.ordinal &&
        each.ended === 'committed' &&
        !worker.isIdentity(each.identity),
    );
  });
}

const zombie: FaultKind = {
  name: 'worker-zombie',
  about: 'a worker that copies is frozen beyond the heartbeat timeout, and thawed when others have done its work',
  shape: SLOW,
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 2); times > 0; times--) {
      const found = await freezeCopier(scene, { cutOff: scene.random.chance(0.5) });
      if (found === undefined) return;
      if (await eventually(scene, () => isDoneElsewhere(scene, found))) scene.struck();
      found.worker.thaw();
      await sleep(AWAKE);
    }
  },
};

const afterPublish: FaultKind = {
  name: 'zombie-after-publish',
  about: 'a worker that copies is frozen, and thawed when the targets are published',
  shape: SLOW,
  async run(scene) {
    await scene.start();
    const found = await freezeCopier(scene, { part: scene.random.next() * 0.7, cutOff: scene.random.chance(0.5) });
    if (found === undefined) return;
    scene.stack.source.proxy.pace = undefined;
    if (await eventually(scene, () => isPublished(scene))) scene.struck();
    found.worker.thaw();
    await sleep(AWAKE);
  },
};

/** A line of the workers' log about an attempt that has ended without a commit. */
const UNCOMMITTED = /Activity (?:failed|cancelled|handed back)/;

const afterClean: FaultKind = {
  name: 'zombie-after-clean',
  about:
    'a worker that copies is frozen, the job terminated and cleaned; it is thawed when the job has been started anew',
  shape: { seconds: 16, tables: 1, publish: 'table' },
  async run(scene) {
    await scene.start();
    const found = await freezeCopier(scene, { part: scene.random.next() * 0.7, cutOff: true });
    if (found === undefined) return;
    await scene.handle.terminate('chaos');
    await settled(scene);
    await clean(scene);
    const discarded = (await states(scene)).includes('discarded');
    const ended = () => scene.logged(UNCOMMITTED);
    if (scene.random.chance(0.5)) await scene.start();
    const before = await ended();
    found.worker.thaw();
    // Its attempt has come to an end, too late.
    if (await eventually(scene, async () => (await ended()) > before, 15_000)) {
      if (discarded) scene.struck();
    }
    await sleep(AWAKE);
    if (scene.discarded.has(scene.run)) await scene.start();
  },
};

const holder: FaultKind = {
  name: 'zombie-holder',
  about: 'a worker that holds the snapshot is frozen, and thawed when another holds it',
  shape: { consistency: 'snapshot', publish: 'table', rows: 20_000, seconds: 80, partitions: 10, parallelism: 2 },
  async run(scene) {
    await scene.start();
    if (!(await scene.untilCopying())) return;
    const worker = await busyWorker(scene, 'holdSnapshot');
    if (worker === undefined) return;
    worker.freeze(scene.random.chance(0.5));
    const had = await begunBy(scene, worker, 'holdSnapshot');
    const another = await eventually(scene, async () => {
      const successor = await busyWorker(scene, 'holdSnapshot');
      return successor !== undefined && (await begunBy(scene, worker, 'holdSnapshot')).length === 0;
    });
    worker.thaw();
    if (had.length > 0 && another) scene.struck();
    await sleep(AWAKE);
  },
};

export const ZOMBIE_KINDS: readonly FaultKind[] = [zombie, afterPublish, afterClean, holder];
