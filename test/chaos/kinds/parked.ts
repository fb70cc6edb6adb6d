import { ScheduleOverlapPolicy, type ScheduleHandle } from '@temporalio/client';
import { eventually, longhaul } from '../hand.js';
import type { FaultKind } from '../kind.js';
import { RETRY, type Scene } from '../scene.js';
import { TASK_QUEUE } from '../stack.js';

/** Jobs that wait for a person, since a partition fails again and again. */

/** Keys at the source that can't be read for as long as somebody wants: a condition of the job's tables raises an error there. */
class Blockade {
  private constructor(private readonly scene: Scene) {}

  /** A sequence is read by its state of now under every snapshot. Only copying fails: not planning, nor digests. */
  static async raise(scene: Scene): Promise<Blockade> {
    const { schema, shape, random, stack } = scene;
    const from = random.int(1, shape.rows);
    await stack.source.query(`CREATE SEQUENCE ${schema}.blocked;
      CREATE FUNCTION ${schema}.passes(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF id BETWEEN ${from} AND ${from + shape.rows / 50} AND pg_catalog.current_query() ~ '^COPY'
          AND (SELECT last_value FROM ${schema}.blocked) = 1 THEN
          RAISE EXCEPTION 'blocked by the chaos harness';
        END IF;
        RETURN true;
      END $$`);
    return new Blockade(scene);
  }

  /** Keys of the job file. */
  get job(): object {
    const { tables, schema } = this.scene;
    return {
      retry: { ...RETRY, maximumAttempts: 2 },
      tables: tables.map((from) => ({ from, where: `${schema}.passes(id)` })),
    };
  }

  async lift(): Promise<void> {
    await this.scene.stack.source.query(`SELECT setval('${this.scene.schema}.blocked', 2)`);
  }
}

/** Labels of what is parked, as a person writes them. */
async function parked(scene: Scene): Promise<string[]> {
  const { tables } = await scene.progress();
  return tables.flatMap(({ table, parked }) => parked.map(({ label }) => `${table}/${label}`));
}

function waits(scene: Scene): Promise<boolean> {
  return scene.until(async () => (await scene.progress()).phase === 'waiting on parked', 60_000);
}

const retry: FaultKind = {
  name: 'parked-retry',
  about:
    'partitions fail until they are parked; a person retries them in vain, mends the cause, and retries them again',
  async run(scene) {
    const blockade = await Blockade.raise(scene);
    await scene.start(blockade.job);
    if (!(await waits(scene))) return;
    const labels = await parked(scene);
    if (labels.length > 0) scene.struck();
    if (scene.random.chance(0.5)) {
      await longhaul(scene, 'retry', scene.name, scene.random.pick(labels));
      await waits(scene);
    }
    await blockade.lift();
    await longhaul(scene, 'retry', scene.name, ...(scene.random.chance(0.5) ? labels : []));
  },
};

/** How often the schedule fires, in milliseconds. */
const EVERY = 2_000;

async function startBySchedule(scene: Scene, overlap: ScheduleOverlapPolicy, more: object): Promise<ScheduleHandle> {
  const schedule = await scene.stack.client.schedule.create({
    scheduleId: scene.name,
    spec: { intervals: [{ every: EVERY }] },
    policies: { overlap },
    action: {
      type: 'startWorkflow',
      workflowType: 'copyJob',
      taskQueue: TASK_QUEUE,
      workflowId: scene.name,
      args: [scene.job(more)],
    },
  });
  await eventually(async () => {
    const [action] = (await schedule.describe()).info.recentActions;
    if (action === undefined) return false;
    const { workflowId, firstExecutionRunId } = action.action.workflow;
    scene.adopt(scene.stack.client.workflow.getHandle(workflowId), firstExecutionRunId);
    return true;
  });
  return schedule;
}

/** Skipped: as schedules do unless told otherwise. Else another job was started, and refused since the first holds the targets. */
async function firedInVain(scene: Scene, schedule: ScheduleHandle): Promise<boolean> {
  return eventually(async () => {
    const { numActionsSkippedOverlap, recentActions } = (await schedule.describe()).info;
    if (numActionsSkippedOverlap > 0) return true;
    const later = recentActions.at(-1)!.action.workflow;
    if (later.firstExecutionRunId === scene.run) return false;
    const said = await scene.stack.client.workflow
      .getHandle(later.workflowId)
      .result()
      .then(
        () => 'it ended well',
        ({ message, cause }: Error) => (cause instanceof Error ? cause.message : message),
      );
    if (!said.includes(`is held by run ${scene.run}`)) throw new Error(`The job that the schedule started: ${said}`);
    return true;
  });
}

const schedule: FaultKind = {
  name: 'schedule-overlap',
  about: 'a schedule fires while the job that it started before waits on parked partitions',
  shape: { mode: 'replace' },
  async run(scene) {
    const { SKIP, ALLOW_ALL } = ScheduleOverlapPolicy;
    const blockade = await Blockade.raise(scene);
    const handle = await startBySchedule(scene, scene.random.pick([SKIP, SKIP, ALLOW_ALL]), blockade.job);
    const waiting = await waits(scene);
    const inVain = await firedInVain(scene, handle);
    await handle.delete();
    await blockade.lift();
    await scene.handle.executeUpdate('retry', { args: [{}] });
    if (waiting && inVain) scene.struck();
  },
  async cleanUp(scene) {
    await scene.stack.client.schedule
      .getHandle(scene.name)
      .delete()
      .catch(() => undefined);
  },
};

export const PARKED_KINDS: readonly FaultKind[] = [retry, schedule];
