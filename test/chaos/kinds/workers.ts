import { attempts, begun, begunBy, busyWorker } from '../attempts.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';
import type { WorkerProcess } from '../stack.js';

/** Worker processes that die or end. */

/** At a random moment of the copy, a worker that copies. */
async function copier(scene: Scene): Promise<WorkerProcess | undefined> {
  if (!(await scene.untilCopying())) return undefined;
  await scene.moment();
  let worker: WorkerProcess | undefined;
  await scene.until(async () => (worker = await busyWorker(scene)) !== undefined);
  return worker;
}

/** It was in the middle of something when Temporal still calls that begun after its death. */
async function kill(scene: Scene): Promise<void> {
  const worker = await copier(scene);
  if (worker === undefined) return;
  const at = Date.now();
  await worker.kill('SIGKILL');
  const had = await begunBy(scene, worker);
  scene.deaths.push({ worker, at, had });
  if (had.length > 0) scene.struck();
  await scene.stack.startWorker();
}

const sigkill: FaultKind = {
  name: 'worker-sigkill',
  repeats: true,
  about: 'a worker process that copies is killed, and another started',
  shape: { seconds: 6 },
  async run(scene) {
    await scene.start();
    for (let kills = scene.times(1, 3); kills > 0; kills--) await kill(scene);
  },
};

/** Before it ended it gave back what it copied, by its own word in the history. */
async function end(scene: Scene): Promise<void> {
  const worker = await copier(scene);
  if (worker === undefined) return;
  await worker.kill('SIGTERM');
  const its = (await attempts(scene)).filter(({ identity }) => worker.isIdentity(identity));
  if (its.some(({ ended }) => ended === 'handed back')) scene.struck();
  await scene.stack.startWorker();
}

const sigterm: FaultKind = {
  name: 'worker-sigterm',
  repeats: true,
  about: 'a worker process that copies is asked to end, and another started',
  shape: { seconds: 6 },
  async run(scene) {
    await scene.start();
    for (let ends = scene.times(2, 4); ends > 0; ends--) await end(scene);
  },
};

/** What a worker does for a job beside copying and holding a snapshot; not always the same of it. */
async function besides(scene: Scene): Promise<{ worker: WorkerProcess; type: string } | undefined> {
  const seen = new Set<string>();
  let left = scene.random.int(0, 3);
  let found: { worker: WorkerProcess; type: string } | undefined;
  const look = async (): Promise<boolean> => {
    const all = (await begun(scene)).filter(({ type }) => type !== 'copyPartition' && type !== 'holdSnapshot');
    const next = all.find(({ type }) => !seen.has(type));
    if (next === undefined) return false;
    seen.add(next.type);
    const worker = scene.stack.alive.find((each) => each.isIdentity(next.identity));
    found = worker && { worker, type: next.type };
    return left-- === 0;
  };
  await scene.until(look, 60_000);
  return found;
}

const anyStep: FaultKind = {
  name: 'worker-sigkill-besides',
  about: 'a worker process is killed while it checks, plans, builds, verifies or publishes, and another started',
  async run(scene) {
    await scene.start();
    const found = await besides(scene);
    if (found === undefined || (await scene.hasEnded())) return;
    await found.worker.kill('SIGKILL');
    if ((await begunBy(scene, found.worker, found.type)).length > 0) scene.struck();
    await scene.stack.startWorker();
  },
};

export const WORKER_KINDS: readonly FaultKind[] = [sigkill, sigterm, anyStep];
