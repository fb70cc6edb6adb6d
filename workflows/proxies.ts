import { ActivityCancellationType, proxyActivities, workflowInfo } from '@temporalio/workflow';
import { snapshotQueue, type LonghaulActivities } from '../src/core/activities.js';
import type { RetrySpec } from '../src/core/model.js';

/** The only place with timeouts and retry policies. Durations as Temporal writes them, or milliseconds. */

/**
 * A dead worker is not a failure of what it ran. With these among the types that are not retried, the server hands a
 * timeout to the workflow instead of counting it as an attempt, and the workflow counts crashes by themselves.
 */
const TIMEOUTS_ARE_CRASHES = ['TemporalTimeout:StartToClose', 'TemporalTimeout:Heartbeat'];

/** Of activities before a job's own policy is known. */
const CHECK_RETRY = {
  maximumAttempts: 5,
  initialInterval: '1s',
  backoffCoefficient: 2,
  maximumInterval: '30s',
  nonRetryableErrorTypes: TIMEOUTS_ARE_CRASHES,
} as const;

/** Backoff while a connection is away, in milliseconds. `patience`: given up after so long, where a job has not begun or must end. */
export const JOB_CONNECTION_WAIT = {
  initialInterval: 1_000,
  backoffCoefficient: 2,
  maximumInterval: 30_000,
  maximumCrashes: 5,
  patience: 120_000,
};

/** Index builds and waiting for readers take what they take: silence ends them, not the clock. */
const AS_LONG_AS_IT_TAKES = '30 days';

/** Silence, in milliseconds, that counts as the death of the worker of an activity that isn't a table's: workers are heard every 3 s. */
const HEARTBEAT = 15_000;

/** A job may ask for less. */
function heartbeatOf(retry?: Pick<RetrySpec, 'heartbeatTimeout'>): number {
  return Math.min(HEARTBEAT, retry?.heartbeatTimeout ?? HEARTBEAT);
}

type JobActivity =
  | 'checkJob'
  | 'openRun'
  | 'closeRun'
  | 'unpublishedTables'
  | 'listRuns'
  | 'vacuumTables'
  | 'publishTable'
  | 'startOver';

/** An activity that concerns the job as a whole; `retry`: the job's, once it is known. Summaries, here and below, are what the web UI shows. */
export function jobActivity<K extends JobActivity>(name: K, summary: string, retry?: RetrySpec): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: '30 minutes',
    heartbeatTimeout: heartbeatOf(retry),
    retry: CHECK_RETRY,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    summary,
  });
  return activities[name];
}

/**
 * A lock on the source's tables may be long in coming; beyond that a holder is begun again as often as its worker dies, and as long
 * as its connection is away. Milliseconds.
 */
export const HOLDER_WAIT = {
  initialInterval: 500,
  backoffCoefficient: 2,
  maximumInterval: 30_000,
  maximumCrashes: Number.MAX_SAFE_INTEGER,
};

/**
 * Milliseconds: a holder that has held for less is not begun anew at once. A source that ends sessions every minute would otherwise
 * fill the history of a long job.
 */
export const HOLDS_LONG = 120_000;

/** Between two tries of a holder that fails by itself, while another one holds: it may take locks that the source has few of. */
export const TROUBLE_WAIT = { ...HOLDER_WAIT, initialInterval: 30_000, maximumInterval: 600_000 };

/** No longer than the lease by which those sessions end by themselves. */
export const RELEASE_WAIT = { ...HOLDER_WAIT, maximumCrashes: 2, patience: 30_000 };

const HOLDER_OPTIONS = {
  startToCloseTimeout: AS_LONG_AS_IT_TAKES,
  retry: { ...CHECK_RETRY, maximumAttempts: 20 },
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const;

/**
 * Holds a snapshot, on a task queue and in slots that no copying takes up. A silent worker counts as dead long before the lease that
 * it leaves behind has ended.
 */
export function holderActivity(summary: string, heartbeatTimeout: number): LonghaulActivities['holdSnapshot'] {
  const taskQueue = snapshotQueue(workflowInfo().taskQueue);
  const options = { ...HOLDER_OPTIONS, heartbeatTimeout: heartbeatOf({ heartbeatTimeout }), taskQueue, summary };
  return proxyActivities<LonghaulActivities>(options).holdSnapshot;
}

/** A short look or step beside the holders, on their queue. Nobody waits long for it: given up when no worker takes it. */
export function snapshotActivity<K extends 'observeSnapshot' | 'releaseSnapshot'>(
  name: K,
  summary: string,
): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    taskQueue: snapshotQueue(workflowInfo().taskQueue),
    scheduleToCloseTimeout: '1 minute',
    heartbeatTimeout: HEARTBEAT,
    retry: CHECK_RETRY,
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    summary,
  });
  return activities[name];
}

export function awaitingActivity(summary: string, retry: RetrySpec): LonghaulActivities['awaitSnapshot'] {
  const options = { ...HOLDER_OPTIONS, heartbeatTimeout: heartbeatOf(retry), summary };
  return proxyActivities<LonghaulActivities>(options).awaitSnapshot;
}

/** Between two tries to tell others of what is committed. Milliseconds. */
export const ANNOUNCING_WAIT = { initialInterval: 2_000, backoffCoefficient: 2, maximumInterval: 600_000 };

/** Nobody waits for it, so that it may wait for a worker as long as it takes; once it runs it is short. */
export function announcingActivity(retry: RetrySpec, summary: string): LonghaulActivities['announceCommitted'] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: '1 minute',
    heartbeatTimeout: heartbeatOf(retry),
    retry: { ...CHECK_RETRY, maximumAttempts: 2 },
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    summary,
  });
  return activities.announceCommitted;
}

/** One activity of a table beside the copying. */
export function tableActivity<K extends keyof LonghaulActivities>(
  name: K,
  retry: RetrySpec,
  summary: string,
): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: AS_LONG_AS_IT_TAKES,
    heartbeatTimeout: retry.heartbeatTimeout,
    retry: compile(retry),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    summary,
  });
  return activities[name];
}

/** A part of a verification. */
export function verifyActivity<K extends 'listVerifiable' | 'comparePartitions' | 'digestTarget'>(
  name: K,
  summary: string,
): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: AS_LONG_AS_IT_TAKES,
    heartbeatTimeout: HEARTBEAT,
    retry: CHECK_RETRY,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    summary,
  });
  return activities[name];
}

/** One attempt chain at a partition, by the job's declared policy. */
export function partitionActivity<K extends 'copyPartition' | 'skipPartition'>(
  name: K,
  retry: RetrySpec,
  summary: string,
): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: retry.attemptTimeout,
    heartbeatTimeout: retry.heartbeatTimeout,
    retry: compile(retry),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    summary,
  });
  return activities[name];
}

function compile({ maximumAttempts, initialInterval, backoffCoefficient, maximumInterval }: RetrySpec) {
  return {
    maximumAttempts,
    initialInterval,
    backoffCoefficient,
    maximumInterval,
    nonRetryableErrorTypes: TIMEOUTS_ARE_CRASHES,
  };
}
