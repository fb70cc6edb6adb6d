import { WorkflowFailedError, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkerInterceptors } from '@temporalio/worker';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LonghaulActivities } from '../../src/core/activities.js';
import type { CopyTableInput } from '../../workflows/messages.js';
import type { copyJob } from '../../workflows/copy-job.js';
import type { copyTable } from '../../workflows/copy-table.js';
import { FAKE_RETRY } from './fake-activities.js';
import { startTestTemporal, type TestTemporal } from './temporal.js';
import { workflowBundle } from './workflow-bundle.js';

export type JobHandle = WorkflowHandleWithFirstExecutionRunId<typeof copyJob>;
export type TableHandle = WorkflowHandleWithFirstExecutionRunId<typeof copyTable>;

const QUIET = { log: () => undefined, trace: () => undefined, debug: () => undefined, info: () => undefined };

/** One file's Temporal client and workflow bundle; each test has task queue and worker of its own. */
export class WorkflowTests {
  private constructor(
    readonly temporal: TestTemporal,
    private readonly connection: NativeConnection,
    private readonly workflowBundle: { readonly codePath: string },
  ) {}

  static async start(): Promise<WorkflowTests> {
    // The failures that tests provoke would fill the screen.
    const logging = { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } as const;
    const logger = { ...QUIET, warn: () => undefined, error: () => undefined };
    Runtime.install({ logger, telemetryOptions: { logging } });
    const temporal = await startTestTemporal();
    const [connection, bundle] = await Promise.all([
      NativeConnection.connect({ address: temporal.address }),
      workflowBundle(),
    ]);
    return new WorkflowTests(temporal, connection, bundle);
  }

  async stop(): Promise<void> {
    await this.connection.close();
    await this.temporal.stop();
  }

  worker(taskQueue: string, activities: LonghaulActivities, interceptors: WorkerInterceptors = {}): Promise<Worker> {
    const { connection, workflowBundle } = this;
    return Worker.create({
      ...{ connection, workflowBundle, taskQueue, activities, interceptors },
      maxConcurrentActivityTaskExecutions: 50,
      maxHeartbeatThrottleInterval: '1s',
    });
  }

  /** Runs a body with a worker of these activities beside it; the worker is stopped after it. */
  async during<T>(
    activities: LonghaulActivities,
    body: (taskQueue: string) => Promise<T>,
    interceptors?: WorkerInterceptors,
  ): Promise<T> {
    const taskQueue = this.temporal.unique('queue');
    const worker = await this.worker(taskQueue, activities, interceptors);
    return worker.runUntil(() => body(taskQueue));
  }

  startJob(taskQueue: string, input: unknown = {}, options: { cronSchedule?: string } = {}): Promise<JobHandle> {
    const workflowId = this.temporal.unique('job');
    return this.temporal.client.workflow.start<typeof copyJob>('copyJob', {
      ...{ taskQueue, workflowId, args: [input], ...options },
    });
  }

  startTable(taskQueue: string, input: Partial<CopyTableInput> & { table: string }): Promise<TableHandle> {
    return this.temporal.client.workflow.start<typeof copyTable>('copyTable', {
      ...{ taskQueue, workflowId: this.temporal.unique('table') },
      args: [tableInput(input)],
    });
  }
}

export function tableInput(input: Partial<CopyTableInput> & { table: string }): CopyTableInput {
  return {
    ...{ run: 'run-1', to: `dw.${input.table}`, mode: 'replace', source: 'from', destination: 'to' },
    ...{ grant: { slots: 4, sequence: 0 }, maxParked: 100, onFailure: 'fail', retry: FAKE_RETRY },
    ...input,
  };
}

/** The longest pause between two looks, in milliseconds: what is asked takes the machine's time from what is waited for. */
const LONGEST_PAUSE = 200;

/** Waits until a condition holds; the test's own timeout ends a wait in vain. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let pause = 20; !(await holds()); pause = Math.min(LONGEST_PAUSE, pause * 1.5)) await sleep(pause);
}

export interface ShownFailure {
  readonly type: string;
  readonly message: string;
  /** As it stands in history. */
  readonly stackTrace: string;
}

/** The failure that a workflow ends with; anything else ends the test. */
export async function failureOfWorkflow(handle: { result(): Promise<unknown> }): Promise<ShownFailure> {
  const error = await handle.result().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof WorkflowFailedError)) throw new Error(`the workflow did not fail: ${String(error)}`);
  const { type, message, failure } = error.cause as unknown as ShownFailure & { failure?: { stackTrace?: string } };
  return { type, message, stackTrace: failure?.stackTrace ?? '' };
}
