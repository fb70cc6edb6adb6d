import type { temporal } from '@temporalio/proto';
import { arrayFromPayloads, defaultPayloadConverter } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { PartitionResult } from '../../src/core/activities.js';
import type { Scene } from './scene.js';
import type { WorkerProcess } from './stack.js';

type Event = temporal.api.history.v1.IHistoryEvent;

/** An activity that a worker has begun, and not ended as far as Temporal knows. */
export interface Begun {
  readonly workflowId: string;
  readonly runId: string;
  readonly activityId: string;
  readonly type: string;
  readonly identity: string;
}

/** PENDING_ACTIVITY_STATE_STARTED, whose enum is no ES module's. */
const STARTED = 2;

/** Workflow ids of the job's tables. */
export function tableIds(scene: Scene): string[] {
  return scene.tables.map((table) => `${scene.handle.workflowId}/${table}`);
}

/** Activities of the job and its children that are being worked on. */
export async function begun(scene: Scene): Promise<Begun[]> {
  const job = scene.handle.workflowId;
  const found = await Promise.all([job, `${job}/~snapshot`, ...tableIds(scene)].map((id) => begunOf(scene, id)));
  return found.flat();
}

async function begunOf({ stack }: Scene, workflowId: string): Promise<Begun[]> {
  const described = await stack.client.workflow
    .getHandle(workflowId)
    .describe()
    .catch(() => undefined);
  return (described?.raw.pendingActivities ?? []).flatMap(({ state, activityId, activityType, lastWorkerIdentity }) =>
    Number(state) === STARTED
      ? [
          {
            workflowId,
            runId: described!.runId,
            activityId: activityId!,
            type: activityType!.name!,
            identity: lastWorkerIdentity!,
          },
        ]
      : [],
  );
}

/** What this worker has begun. */
export async function begunBy(scene: Scene, worker: WorkerProcess, type = 'copyPartition'): Promise<Begun[]> {
  return (await begun(scene)).filter((each) => each.type === type && worker.isIdentity(each.identity));
}

/** A worker, not frozen, that has begun activities of this type; chosen by chance. */
export async function busyWorker(scene: Scene, type = 'copyPartition'): Promise<WorkerProcess | undefined> {
  const all = (await begun(scene)).filter((each) => each.type === type);
  const busy = scene.stack.alive.filter(
    (worker) => !worker.frozen && all.some(({ identity }) => worker.isIdentity(identity)),
  );
  return busy.length === 0 ? undefined : scene.random.pick(busy);
}

/** The last attempt of one call of copyPartition: those that failed before, and were tried again by the server, are no events. */
export interface Attempted {
  readonly workflowId: string;
  readonly activityId: string;
  readonly ordinal: number;
  readonly identity: string;
  /** Milliseconds since the epoch. */
  readonly begunAt: number;
  /** From 1: so many attempts had this call. */
  readonly number: number;
  /** Absent: it has not. */
  readonly ended?: 'committed' | 'handed back' | 'timed out' | 'failed' | 'cancelled';
}

/** Of all executions that the job's tables had under its workflow id, in order of their beginning. */
export async function attempts(scene: Scene): Promise<Attempted[]> {
  const found = await Promise.all(tableIds(scene).map((id) => attemptsOf(scene, id)));
  return found.flat().sort((a, b) => a.begunAt - b.begunAt);
}

async function attemptsOf({ stack }: Scene, workflowId: string): Promise<Attempted[]> {
  const { workflow } = stack.client;
  const runs = new Set<string>();
  const latest = await workflow
    .getHandle(workflowId)
    .describe()
    .catch(() => undefined);
  if (latest !== undefined) runs.add(latest.runId);
  for await (const { runId } of workflow.list({ query: `WorkflowId = "${workflowId}"` })) runs.add(runId);
  const histories = await Promise.all([...runs].map((run) => workflow.getHandle(workflowId, run).fetchHistory()));
  return histories.flatMap(({ events }) => attemptsIn(workflowId, events ?? []));
}

function attemptsIn(workflowId: string, events: readonly Event[]): Attempted[] {
  const byId = new Map(events.map((event) => [String(event.eventId), event]));
  const ends = new Map(events.flatMap((event) => endOf(event)));
  return events.flatMap((event) => {
    const { activityTaskStartedEventAttributes: started } = event;
    const call = byId.get(String(started?.scheduledEventId))?.activityTaskScheduledEventAttributes;
    if (!started || call?.activityType?.name !== 'copyPartition') return [];
    const [input] = arrayFromPayloads(defaultPayloadConverter, call.input?.payloads) as [{ ordinal: number }];
    const ended = ends.get(String(event.eventId));
    return [
      {
        ...{ workflowId, activityId: call.activityId!, ordinal: input.ordinal, identity: started.identity! },
        ...{ begunAt: tsToMs(event.eventTime), number: started.attempt! },
        ...(ended !== undefined && { ended }),
      },
    ];
  });
}

/** By the event of the attempt's beginning. */
function endOf(event: Event): [string, Attempted['ended']][] {
  const {
    activityTaskCompletedEventAttributes: completed,
    activityTaskTimedOutEventAttributes: timedOut,
    activityTaskFailedEventAttributes: failed,
    activityTaskCanceledEventAttributes: cancelled,
  } = event;
  if (completed) {
    const [result] = arrayFromPayloads(defaultPayloadConverter, completed.result?.payloads) as [PartitionResult?];
    return [[String(completed.startedEventId), result?.outcome === 'committed' ? 'committed' : 'handed back']];
  }
  if (timedOut) return [[String(timedOut.startedEventId), 'timed out']];
  if (failed) return [[String(failed.startedEventId), 'failed']];
  return cancelled ? [[String(cancelled.startedEventId), 'cancelled']] : [];
}
