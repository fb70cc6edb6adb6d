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

/** An activity that concerns the job as a whole. Summaries, here and below, are what the web UI shows. */
export function jobActivity<K extends 'checkJob' | 'openRun' | 'closeRun' | 'listRuns' | 'publishTable' | 'startOver'>(
  name: K,
  summary: string,
): LonghaulActivities[K] {
  const activities = proxyActivities<LonghaulActivities>({
    startToCloseTimeout: '30 minutes',
    heartbeatTimeout: '1 minute',
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
  maximumInterval: 10_000,
  maximumCrashes: Number.MAX_SAFE_INTEGER,
};

/** Silence of a holder's worker that counts as its death: far less than what is left of the lease that it leaves behind. */
const HOLDER_HEARTBEAT = '15s';

const HOLDER_OPTIONS = {
  startToCloseTimeout: AS_LONG_AS_IT_TAKES,
  heartbeatTimeout: HOLDER_HEARTBEAT,
  retry: { ...CHECK_RETRY, maximumAttempts: 20 },
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
} as const;

/** Holds a snapshot, on a task queue and in slots that no copying takes up. */
export function holderActivity(summary: string): LonghaulActivities['holdSnapshot'] {
  const taskQueue = snapshotQueue(workflowInfo().taskQueue);
  return proxyActivities<LonghaulActivities>({ ...HOLDER_OPTIONS, taskQueue, summary }).holdSnapshot;
}

export function awaitingActivity(summary: string): LonghaulActivities['awaitSnapshot'] {
  return proxyActivities<LonghaulActivities>({ ...HOLDER_OPTIONS, summary }).awaitSnapshot;
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
    heartbeatTimeout: '1 minute',
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
