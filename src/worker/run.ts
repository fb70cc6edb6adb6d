import { hostname } from 'node:os';
import { dirname } from 'node:path';
import {
  GracefulShutdownPeriodExpiredError,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../../activities/index.js';
import { loadTemporalConfig, type Environment, type TemporalConfig, type WorkerConfig } from '../config/index.js';
import { SNAPSHOT_HOLDERS, snapshotQueue, type LonghaulActivities } from '../core/activities.js';
import { createConnector } from '../connectors/registry.js';
import { failureInterceptor } from './activity-interceptor.js';
import { createLog, sdkLogger } from './logging.js';
import { runningRun } from './running-run.js';
import { workflowSource } from './workflow-source.js';

export interface RunWorkerOptions {
  readonly config: WorkerConfig;
  /** Where Temporal's address and credentials come from. */
  readonly env: Environment;
  /** Ends the worker as SIGTERM does. */
  readonly signal?: AbortSignal;
  /** Default: JSON lines on standard output at the configuration's level. */
  readonly log?: Logger;
}

/**
 * Workflows in memory at the same time; others are replayed when they go on. A job's tables that wait for a slot are not
 * started, so this covers many jobs, and keeps an idle worker small.
 */
const CACHED_WORKFLOWS = 100;

/** Of 100 snapshots that a worker holds at the same time. Each is one idle session at its source, and a timer. */
const HOLDERS = 100 * SNAPSHOT_HOLDERS;

/**
 * Longest pause between heartbeats that are sent to the server. It is also how long a cancellation may take to reach an
 * attempt, and how old the rows and bytes in flight are that people see.
 */
const HEARTBEAT_EVERY = '3s';

/**
 * How long a workflow task waits for the worker that has its workflow in memory. After a worker's death each of its workflows
 * waits this long, on top of the heartbeat timeout, before another worker gets it.
 */
const STICKY_WAIT = '2s';

/**
 * Runs a worker until SIGINT, SIGTERM or `signal`: then it takes no more work, its attempts roll back at once and go back to the
 * task queue, and the promise resolves. Rejects when Temporal can't be reached at the start: the SDK's runtime
 * may then outlive what failed, and keep the process until it is ended.
 */
export async function runWorker({ config, env, signal, log = createLog(config.worker.logLevel) }: RunWorkerOptions) {
  const temporal = loadTemporalConfig(env);
  installRuntime(log);
  const connection = await NativeConnection.connect(temporal.connectionOptions);
  await work({ config, temporal, signal, log }, connection).finally(() => connection.close());
}

interface Work {
  readonly config: WorkerConfig;
  readonly temporal: TemporalConfig;
  readonly signal: AbortSignal | undefined;
  readonly log: Logger;
}

async function work({ config, temporal, signal, log }: Work, connection: NativeConnection): Promise<void> {
  // A worker that was made must run before its connection can be closed.
  if (signal?.aborted) return;
  const workers = await createWorkers(config, connection, temporal.namespace, log);
  const { address, namespace } = temporal;
  log.info({ address, namespace, taskQueue: config.worker.taskQueue }, 'Worker started');
  const stop = (): void => {
    for (const worker of workers) shutDown(worker);
  };
  const stopped = Promise.all(workers.map((worker) => untilStopped(worker, log).finally(stop)));
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  await stopped.finally(() => signal?.removeEventListener('abort', stop));
  log.info('Worker stopped');
}

/** SIGINT and SIGTERM shut the runtime's workers down. */
function installRuntime(log: Logger): void {
  Runtime.install({
    logger: sdkLogger(log),
    shutdownSignals: ['SIGINT', 'SIGTERM'],
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} } },
  });
}

/** One for everything, and one for the holders of snapshots alone. Both or none run. */
function createWorkers(config: WorkerConfig, connection: NativeConnection, namespace: string, log: Logger) {
  const { taskQueue, maxConcurrentPartitions, shutdownGrace } = config.worker;
  const connectors = new Map([...config.connections].map(([name, connection]) => [name, createConnector(connection)]));
  const identity = `longhaul ${process.pid}@${hostname()}`;
  const activities = createActivities({
    ...{ connectors, log, worker: identity, folder: dirname(config.file) },
    runningRun: (workflowId) => runningRun(log, workflowId),
  });
  const common: Omit<WorkerOptions, 'taskQueue'> = {
    ...{ connection, namespace, identity },
    interceptors: { activity: [failureInterceptor(log)] },
    maxHeartbeatThrottleInterval: HEARTBEAT_EVERY,
    // Attempts are told at once, and have this long to roll back.
    shutdownGraceTime: 0,
    shutdownForceTime: shutdownGrace,
  };
  const holders = Worker.create({
    ...common,
    taskQueue: snapshotQueue(taskQueue),
    activities: snapshotActivities(activities),
    maxConcurrentActivityTaskExecutions: HOLDERS,
  });
  const copying = Worker.create({
    ...common,
    ...workflowSource(),
    ...{ taskQueue, activities },
    maxConcurrentActivityTaskExecutions: maxConcurrentPartitions,
    maxCachedWorkflows: CACHED_WORKFLOWS,
    workflowThreadPoolSize: 1,
    stickyQueueScheduleToStartTimeout: STICKY_WAIT,
  });
  return Promise.all([copying, holders]);
}

function snapshotActivities(all: LonghaulActivities): Partial<LonghaulActivities> {
  return {
    holdSnapshot: (ref) => all.holdSnapshot(ref),
    observeSnapshot: (ref) => all.observeSnapshot(ref),
    releaseSnapshot: (ref) => all.releaseSnapshot(ref),
  };
}

/** The signal of a runtime, or the end of the other, may have been there before. */
function shutDown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

async function untilStopped(worker: Worker, log: Logger): Promise<void> {
  try {
    await worker.run();
  } catch (error) {
    if (!(error instanceof GracefulShutdownPeriodExpiredError)) throw error;
    log.warn('Some attempts did not end within worker.shutdownGrace; their servers will end them.');
  }
}
