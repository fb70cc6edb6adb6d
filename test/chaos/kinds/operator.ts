import {
  isGrpcServiceError,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import { attempts, begun } from '../attempts.js';
import { clean, eventually, failureOf, reached, settled, somewhere, startAnew } from '../hand.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';

/** What people do to a job that runs. */

const cancel: FaultKind = {
  name: 'cancel-resume',
  about: 'the job is cancelled at some moment, and started again with `resume`',
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 3); times > 0; times--) {
      if (!(await somewhere(scene))) return;
      await reached(scene.handle.cancel());
      if ((await settled(scene)) === 'COMPLETED') return;
      scene.struck();
      await scene.start({ resume: scene.run });
    }
  },
};

const discard: FaultKind = {
  name: 'cancel-discard',
  about: 'the job is cancelled and what it has loaded is discarded; then it is started anew',
  shape: { tables: 1, publish: 'table' },
  async run(scene) {
    await scene.start();
    if (!(await somewhere(scene))) return;
    await reached(scene.handle.signal('discard'));
    if (scene.random.chance(0.7)) await reached(scene.handle.cancel());
    if ((await settled(scene)) === 'COMPLETED') return;
    scene.struck();
    scene.discarded.add(scene.run);
    await startAnew(scene);
  },
};

const terminate: FaultKind = {
  name: 'terminate-resume',
  about: 'the job is terminated at some moment, and started again with `resume` at once',
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 3); times > 0; times--) {
      if (!(await somewhere(scene))) return;
      if (!(await reached(scene.handle.terminate('chaos')))) return;
      scene.struck();
      await scene.start({ resume: scene.run });
    }
  },
};

const terminateClean: FaultKind = {
  name: 'terminate-clean',
  about: 'the job is terminated at some moment, `longhaul clean` gives its run up, and it is started anew',
  shape: { tables: 1, publish: 'table' },
  async run(scene) {
    await scene.start();
    if (!(await somewhere(scene))) return;
    if (!(await reached(scene.handle.terminate('chaos')))) return;
    await clean(scene);
    scene.struck();
    await startAnew(scene);
  },
};

const sameId: FaultKind = {
  name: 'two-starts-one-id',
  about: 'a job is started once more under the same workflow id while it runs: Temporal refuses the second',
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 3); times > 0; times--) {
      if (!(await somewhere(scene))) return;
      const args = [scene.job()];
      const second = scene.stack.client.workflow.start('copyJob', {
        taskQueue: scene.stack.taskQueue,
        workflowId: scene.name,
        args,
      });
      const refused = await second.then(
        () => false,
        (error: unknown) => error instanceof WorkflowExecutionAlreadyStartedError,
      );
      if (refused) scene.struck();
      else if (!(await scene.hasEnded())) throw new Error('a second job ran under the id of the first');
    }
  },
};

const AT_THE_SAME_TIME = 'two jobs copied into one target at the same time, and both ended well';

export function startRival(scene: Scene, number: number): Promise<WorkflowHandleWithFirstExecutionRunId> {
  const rival = `${scene.name}-rival-${number}`;
  const args = [scene.job({ name: rival })];
  return scene.stack.client.workflow.start('copyJob', { taskQueue: scene.stack.taskQueue, workflowId: rival, args });
}

const oneTarget: FaultKind = {
  name: 'two-jobs-one-target',
  about: 'another job is started on the same targets: it fails and names the one that holds them',
  // Of a source that is written to, a job that comes after another copies another state.
  shape: { mode: 'replace', writes: false },
  async run(scene) {
    const together = scene.random.chance(0.3);
    const rivals = together ? 1 : scene.random.int(1, 2);
    await scene.start();
    for (let number = 1; number <= rivals; number++) {
      if (!together && !(await somewhere(scene, 0.6))) return;
      const [own, run] = [scene.handle, scene.run];
      const rival = await startRival(scene, number);
      // Both are runs of the scene; the last is the one that is judged.
      scene.adopt(rival, rival.firstExecutionRunId);
      scene.adopt(own, run);
      const said = await failureOf(rival);
      if (said !== undefined) isHeldOff(said, run);
      else if (together) {
        isHeldOff(await failureOf(own), rival.firstExecutionRunId);
        scene.adopt(rival, rival.firstExecutionRunId);
      } else {
        await mustFollow(scene, run, rival.firstExecutionRunId);
        scene.adopt(rival, rival.firstExecutionRunId);
        return;
      }
      scene.struck();
    }
  },
};

/** On a slow machine a job may have ended before the other one is opened: then that had loaded nothing until all was published. */
async function mustFollow({ stack }: Scene, first: string, next: string): Promise<void> {
  const [found] = await stack.destination.query<{ follows: boolean | null }>(
    `SELECT bool_and(t.state = 'published' AND t.changed_at <= (SELECT min(started_at) FROM longhaul.receipts WHERE run = $2)) AS follows
     FROM longhaul.run_tables t WHERE t.run = $1`,
    [first, next],
  );
  if (found?.follows !== true) throw new Error(AT_THE_SAME_TIME);
}

/** Throws unless a job has failed since this run holds its target. */
function isHeldOff(said: string | undefined, holder: string): void {
  if (said === undefined) throw new Error(AT_THE_SAME_TIME);
  if (!said.includes(`is held by run ${holder}`)) throw new Error(`the other job failed otherwise: ${said}`);
}

/** An activity that has ended meanwhile is not there. */
async function unlessEnded(asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (isGrpcServiceError(error) && NOT_FOUND.includes(error.code)) return false;
    throw error;
  }
}

/** gRPC's status. */
const NOT_FOUND: readonly number[] = [5];

/** Answers whether an attempt was handed back, which its history says. */
async function pauseOne(scene: Scene): Promise<boolean> {
  const { workflowService } = scene.stack.client;
  const busy = (await begun(scene)).filter(({ type }) => type === 'copyPartition');
  if (busy.length === 0) return false;
  const { workflowId, runId, activityId } = scene.random.pick(busy);
  const which = { namespace: 'default', execution: { workflowId, runId }, id: activityId };
  if (!(await unlessEnded(workflowService.pauseActivity({ ...which, reason: 'chaos' })))) return false;
  let ended: string | undefined;
  await eventually(scene, async () => {
    const all = await attempts(scene);
    ended = all.find((each) => each.workflowId === workflowId && each.activityId === activityId)?.ended;
    return ended !== undefined;
  });
  await unlessEnded(workflowService.unpauseActivity(which));
  return ended === 'handed back';
}

const pauseActivity: FaultKind = {
  name: 'activity-paused',
  about: 'an operator pauses an attempt at a partition in Temporal: it is handed back, and done again',
  // A worker hears of it by the answer to a heartbeat: its attempts have to take longer than that.
  shape: { tables: 1, rows: 16_000, partitions: 4, parallelism: 2, seconds: 24 },
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 2); times > 0; times--) {
      if (!(await scene.untilCopying())) return;
      if (await pauseOne(scene)) scene.struck();
    }
  },
};

export const OPERATOR_KINDS: readonly FaultKind[] = [
  cancel,
  discard,
  terminate,
  terminateClean,
  sameId,
  oneTarget,
  pauseActivity,
];
