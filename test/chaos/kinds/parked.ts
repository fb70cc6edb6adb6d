import { ScheduleOverlapPolicy, ServiceError, type ScheduleHandle } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, failureOf, longhaul } from '../hand.js';
import type { JobPhase } from '../../../workflows/messages.js';
import { attempts } from '../attempts.js';
import type { FaultKind } from '../kind.js';
import { RETRY, type Scene } from '../scene.js';
import { freezeCopier, SLOW, type Zombie } from './zombies.js';

/** Jobs that wait for a person, since a partition fails again and again. */

/** Keys at the source that can't be read for as long as somebody wants: a condition of the job's tables raises an error there. */
class Blockade {
  private constructor(private readonly scene: Scene) {}

  /** `part` of the keys. A sequence is read by its state of now under every snapshot. Only copying fails: not planning, nor digests. */
  static async raise(scene: Scene, part = 0.02): Promise<Blockade> {
    const { schema, shape, random, stack } = scene;
    const from = random.int(1, Math.ceil(shape.rows * (1 - part)));
    await stack.source.query(`CREATE SEQUENCE ${schema}.blocked;
      CREATE FUNCTION ${schema}.passes(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF id BETWEEN ${from} AND ${from + shape.rows * part} AND pg_catalog.current_query() ~ '^COPY'
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
    await this.#set(2);
  }

  async raiseAgain(): Promise<void> {
    await this.#set(1);
  }

  async #set(value: number): Promise<void> {
    await this.scene.stack.source.query(`SELECT setval('${this.scene.schema}.blocked', ${value})`);
  }
}

/** Labels of what is parked, as a person writes them. */
async function parked(scene: Scene): Promise<string[]> {
  const { tables } = await scene.progress();
  return tables.flatMap(({ table, parked }) => parked.map(({ label }) => `${table}/${label}`));
}

/** A question goes first to the worker that has the workflow in memory. Undefined: that one is frozen, and the question came to nothing. */
async function phaseOf(scene: Scene): Promise<JobPhase | undefined> {
  try {
    return (await scene.progress()).phase;
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
}

function waits(scene: Scene): Promise<boolean> {
  return scene.until(async () => (await phaseOf(scene)) === 'waiting on parked', 90_000);
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
    const inVain = scene.random.chance(0.5);
    if (inVain) await longhaul(scene, 'retry', scene.name, scene.random.pick(labels));
    await blockade.lift();
    if (!inVain) await longhaul(scene, 'retry', scene.name, ...(scene.random.chance(0.5) ? labels : []));
    await retryAll(scene);
  },
};

/** Until the job has ended. What it knows of its tables is a second old at times: what it calls parked is refused when it no longer is. */
async function retryAll(scene: Scene): Promise<void> {
  await scene.until(async () => {
    if ((await phaseOf(scene)) === 'waiting on parked')
      await longhaul(scene, 'retry', scene.name).catch(unlessNotParked);
    return false;
  });
}

function unlessNotParked(error: unknown): void {
  if (!(error instanceof Error && /parked|not copying|has ended|does not run any more/.test(error.message)))
    throw error;
}

const skip: FaultKind = {
  name: 'parked-skip',
  about: 'partitions fail until they are parked; a person skips one, retries the rest, and the job ends with skips',
  shape: { writes: false, consistency: 'per-partition' },
  async run(scene) {
    const blockade = await Blockade.raise(scene);
    await scene.start(blockade.job);
    if (!(await waits(scene))) return;
    const [skipped, ...rest] = await parked(scene);
    await longhaul(scene, 'skip', scene.name, skipped!);
    scene.skips.add(skipped!);
    scene.struck();
    await blockade.lift();
    if (rest.length > 0) await longhaul(scene, 'retry', scene.name, ...rest);
  },
};

/** A frozen worker's partitions fail where they are tried again, and are skipped while it sleeps. */
const zombieAfterSkip: FaultKind = {
  name: 'zombie-after-skip',
  about: 'a worker that copies is frozen; its partitions fail elsewhere, are parked and skipped; then it is thawed',
  shape: { writes: false, consistency: 'per-partition', ...SLOW, tables: 1 },
  async run(scene) {
    const blockade = await Blockade.raise(scene, 1);
    await blockade.lift();
    await scene.start(blockade.job);
    // Else what the operator asks of the job goes to the frozen worker as well.
    const zombie = await freezeCopier(scene, { part: scene.random.next() * 0.5, cutOff: true });
    if (zombie === undefined) return;
    await blockade.raiseAgain();
    const waited = await waits(scene);
    const labels = await parked(scene);
    const its = new Set(await ordinalsOf(scene, zombie));
    const [table] = scene.tables;
    for (const label of labels) scene.skips.add(label);
    if (labels.length > 0) await longhaul(scene, 'skip', scene.name, ...labels);
    await eventually(scene, async () => (await skipped(scene)) === labels.length);
    zombie.worker.thaw();
    if (waited && [...its].some((each) => labels.some((label) => label.startsWith(`${table}/${each + 1}/`))))
      scene.struck();
    await sleep(1_500);
    await blockade.lift();
    await retryAll(scene);
  },
};

/** Of the partitions that a frozen worker had, once Temporal has given it up. */
async function ordinalsOf(scene: Scene, { had }: Zombie): Promise<number[]> {
  const all = await attempts(scene);
  return had.flatMap(({ workflowId, activityId }) =>
    all
      .filter((each) => each.workflowId === workflowId && each.activityId === activityId)
      .map(({ ordinal }) => ordinal),
  );
}

async function skipped(scene: Scene): Promise<number> {
  const sql = `SELECT count(*)::int AS n FROM longhaul.receipts WHERE run = $1 AND state = 'skipped'`;
  return (await scene.stack.destination.query<{ n: number }>(sql, [scene.run]))[0]!.n;
}

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
      taskQueue: scene.stack.taskQueue,
      workflowId: scene.name,
      args: [scene.job(more)],
    },
  });
  await eventually(scene, async () => {
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
  return eventually(scene, async () => {
    const { numActionsSkippedOverlap, recentActions } = (await schedule.describe()).info;
    if (numActionsSkippedOverlap > 0) return true;
    const later = recentActions.at(-1)!.action.workflow;
    if (later.firstExecutionRunId === scene.run) return false;
    const said = await failureOf(scene.stack.client.workflow.getHandle(later.workflowId));
    if (said?.includes(`is held by run ${scene.run}`)) return true;
    throw new Error(`the job that the schedule started besides: ${said ?? 'it ended well'}`);
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

export const PARKED_KINDS: readonly FaultKind[] = [retry, skip, zombieAfterSkip, schedule];
