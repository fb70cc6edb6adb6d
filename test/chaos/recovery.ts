import { attempts, type Attempted, type Begun } from './attempts.js';
import type { Scene } from './scene.js';
import type { WorkerProcess } from './stack.js';

/** A worker that was killed, and the partitions that it had. */
export interface Death {
  readonly worker: WorkerProcess;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly had: readonly Begun[];
}

export interface Recovery {
  /** Milliseconds from a death until each partition that the dead worker had was begun again. */
  readonly recoveries: readonly number[];
  /** Work that was not the dead workers' own and was done again; partitions that nobody has begun again. */
  readonly problems: readonly string[];
}

/** From the histories of the job's tables, once it has ended. */
export async function recoveryOf(scene: Scene): Promise<Recovery> {
  if (scene.deaths.length === 0) return { recoveries: [], problems: [] };
  const all = await attempts(scene);
  const recoveries: number[] = [];
  const problems = repeated(scene, all);
  for (const { at, had } of scene.deaths) {
    for (const { workflowId, activityId } of had) {
      const lost = all.find((each) => each.workflowId === workflowId && each.activityId === activityId);
      const next = all.find((each) => lost && isSame(each, lost) && each.begunAt > at);
      // Its last word may have been under way when it was killed.
      if (lost?.ended === 'committed') continue;
      if (next !== undefined) recoveries.push(next.begunAt - at);
      else problems.push(`${workflowId}: activity ${activityId} of a killed worker was not begun again`);
    }
  }
  return { recoveries, problems };
}

/** Every attempt but the last at a partition was a dead worker's. */
function repeated({ deaths }: Scene, all: readonly Attempted[]): string[] {
  return all
    .filter((each) => !deaths.some(({ worker }) => worker.isIdentity(each.identity)))
    .filter((each) => each.number > 1 || all.some((later) => isSame(later, each) && later.begunAt > each.begunAt))
    .map(
      ({ workflowId, ordinal, number, ended = 'open' }) =>
        `${workflowId}: partition ${ordinal + 1} was done again, though its worker lived (try ${number}, ${ended})`,
    );
}

function isSame(one: Attempted, other: Attempted): boolean {
  return one.workflowId === other.workflowId && one.ordinal === other.ordinal;
}
