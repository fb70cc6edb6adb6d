import { setTimeout as sleep } from 'node:timers/promises';
import type { temporal } from '@temporalio/proto';
import { tableIds } from '../attempts.js';
import { settled, somewhere } from '../hand.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';

/** `temporal workflow reset`, to every kind of earlier point. */

type Event = temporal.api.history.v1.IHistoryEvent;

/** Finds the event, a completed workflow task, that a history is to be reset to: it and all after it are done again. */
type Point = (events: readonly Event[], pick: <T>(choices: readonly T[]) => T) => Event | undefined;

const isTask = (event: Event) => event.workflowTaskCompletedEventAttributes != null;

/** The first task that was completed after this. */
function taskAfter(events: readonly Event[], is: (event: Event) => boolean): Event | undefined {
  const place = events.findIndex(is);
  return place < 0 ? undefined : events.slice(place).find(isTask);
}

/** The task that asked for the first such activity. */
function taskBefore(events: readonly Event[], activity: string): Event | undefined {
  const place = events.findIndex(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === activity,
  );
  return place < 0 ? undefined : events.slice(0, place).findLast(isTask);
}

const first: Point = (events) => events.find(isTask);
const anywhere: Point = (events, pick) => {
  const tasks = events.filter(isTask);
  return tasks.length === 0 ? undefined : pick(tasks);
};

const JOB_POINTS: readonly Point[] = [
  first,
  anywhere,
  (events) => taskAfter(events, (event) => event.activityTaskCompletedEventAttributes != null),
  (events) => taskAfter(events, (event) => event.childWorkflowExecutionStartedEventAttributes != null),
  (events) => taskAfter(events, (event) => event.childWorkflowExecutionCompletedEventAttributes != null),
];

const TABLE_POINTS: readonly Point[] = [
  first,
  anywhere,
  (events) => taskAfter(events, (event) => event.activityTaskCompletedEventAttributes != null),
  (events) => taskBefore(events, 'copyPartition'),
  (events) => taskBefore(events, 'publishTable'),
];

/** Answers whether there was such a point to go back to. */
async function reset(scene: Scene, workflowId: string, points: readonly Point[], number: number): Promise<boolean> {
  const { client } = scene.stack;
  const handle = client.workflow.getHandle(workflowId);
  const point = scene.random.pick(points);
  const { runId } = await handle.describe();
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const event = point(events ?? [], (choices) => scene.random.pick(choices));
  if (event === undefined) return false;
  const { runId: next } = await client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    reason: 'chaos',
    workflowTaskFinishEventId: event.eventId!,
    requestId: `${scene.run} ${number}`,
  });
  return next !== runId;
}

const job: FaultKind = {
  name: 'reset-job',
  about: 'the job is reset to some earlier point, while it runs and after it has ended',
  async run(scene) {
    await scene.start();
    for (let number = scene.times(1, 3); number > 0; number--) {
      if (scene.random.chance(0.25)) await settled(scene);
      else if (!(await somewhere(scene))) await settled(scene);
      if (!(await reset(scene, scene.handle.workflowId, JOB_POINTS, number))) continue;
      scene.struck();
      await sleep(scene.random.int(0, 2_000));
    }
  },
};

const table: FaultKind = {
  name: 'reset-table',
  about: "a table's workflow is reset to some earlier point, while it runs and after it has ended",
  async run(scene) {
    await scene.start();
    for (let number = scene.times(1, 3); number > 0; number--) {
      const id = scene.random.pick(tableIds(scene));
      const child = scene.stack.client.workflow.getHandle(id);
      if (scene.random.chance(0.25)) await settled(scene);
      else if (!(await somewhere(scene))) await settled(scene);
      const there = await child.describe().then(
        () => true,
        () => false,
      );
      if (!there || !(await reset(scene, id, TABLE_POINTS, number))) continue;
      scene.struck();
      // Its parent has ended and waits for it no more.
      if (await scene.hasEnded()) await child.result();
    }
  },
};

export const RESET_KINDS: readonly FaultKind[] = [job, table];
