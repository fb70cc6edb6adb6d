import { readdir, readFile } from 'node:fs/promises';
import { temporal } from '@temporalio/proto';
import { DeterminismViolationError } from '@temporalio/workflow';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import { workflowBundle } from '../support/workflow-bundle.js';

/**
 * Workflows that began under an earlier release go on under this one: its code has to make the same commands from their
 * histories. Where it can't, the new way goes behind `patched()`.
 */

const FOLDER = new URL('histories/', import.meta.url);
const files = await readdir(FOLDER);

let bundle: { readonly codePath: string };
beforeAll(async () => {
  const logging = { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } as const;
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), telemetryOptions: { logging } });
  bundle = await workflowBundle();
});

interface RecordedEvent {
  eventType: string;
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
}

interface History {
  readonly events: RecordedEvent[];
}

async function recorded(file: string): Promise<History> {
  return JSON.parse(await readFile(new URL(file, FOLDER), 'utf8')) as History;
}

describe('recorded histories', () => {
  test('there are some of jobs and of tables', () => {
    expect(files.some((file) => file.includes('job-'))).toBe(true);
    expect(files.some((file) => file.includes('table-'))).toBe(true);
  });

  test.each(files)('%s replays', async (file) => {
    await replay(await recorded(file));
  });
});

describe('a history that this code did not make', () => {
  test('another activity in the place of one fails', async () => {
    const history = await recorded(files.find((file) => file.endsWith('table-a.json'))!);
    const scheduled = history.events.filter((event) => event.activityTaskScheduledEventAttributes);
    const publish = scheduled.find((event) => nameOf(event) === 'publishTable')!;
    publish.activityTaskScheduledEventAttributes!.activityType.name = 'closeRun';
    await expect(replay(history)).rejects.toThrow(DeterminismViolationError);
  });

  test('a build step that is not there fails', async () => {
    const history = await recorded(files.find((file) => file.endsWith('table-a.json'))!);
    const step = history.events.find((event) => nameOf(event) === 'runBuildStep')!;
    step.activityTaskScheduledEventAttributes!.activityType.name = 'publishTable';
    await expect(replay(history)).rejects.toThrow(DeterminismViolationError);
  });
});

function nameOf(event: RecordedEvent): string | undefined {
  return event.activityTaskScheduledEventAttributes?.activityType.name;
}

/** The name that children's ids begin with: as recorded, or a child's own. */
function workflowIdOf({ events: [first] }: History): string {
  return (first as { workflowExecutionStartedEventAttributes?: { workflowId?: string } })
    .workflowExecutionStartedEventAttributes!.workflowId!;
}

function replay(history: History): Promise<void> {
  const { History } = temporal.api.history.v1;
  return Worker.runReplayHistory({ workflowBundle: bundle }, History.fromObject(history), workflowIdOf(history));
}
