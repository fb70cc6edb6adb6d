import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';

/** Worker processes that die, end, or freeze. */

/** Ends a worker that copies, and starts another in its place. */
async function end(scene: Scene, signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean> {
  const { stack, random } = scene;
  if (!(await scene.untilCopying())) return false;
  await scene.moment();
  if (await scene.hasEnded()) return false;
  await random.pick(stack.alive).kill(signal);
  await stack.startWorker();
  return true;
}

const sigkill: FaultKind = {
  name: 'worker-sigkill',
  about: 'a worker process is killed at a random moment, and another started',
  async run(scene) {
    await scene.start();
    for (let kills = scene.random.int(1, 3); kills > 0; kills--) if (await end(scene, 'SIGKILL')) scene.struck();
  },
};

const sigterm: FaultKind = {
  name: 'worker-sigterm',
  about: 'a worker process is asked to end at a random moment, and another started',
  async run(scene) {
    await scene.start();
    for (let ends = scene.random.int(2, 4); ends > 0; ends--) if (await end(scene, 'SIGTERM')) scene.struck();
  },
};

export const WORKER_KINDS: readonly FaultKind[] = [sigkill, sigterm];
