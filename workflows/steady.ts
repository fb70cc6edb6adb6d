import { CancellationScope, sleep } from '@temporalio/workflow';
import { endingOf, failure, type Ending } from './failures.js';

export type Backoff = Pick<ConnectionWait, 'initialInterval' | 'backoffCoefficient' | 'maximumInterval'>;

export interface ConnectionWait {
  readonly initialInterval: number;
  readonly backoffCoefficient: number;
  readonly maximumInterval: number;
  readonly maximumCrashes: number;
  /** Milliseconds of backoff until a connection is given up; absent: never. */
  readonly patience?: number;
}

export interface SteadyHooks {
  /** The connection is away; it is tried again after a backoff. */
  waiting?(message: string): void | Promise<void>;
  resumed?(): void | Promise<void>;
}

export function backoff(wait: Backoff, failures: number): number {
  return Math.min(wait.maximumInterval, wait.initialInterval * wait.backoffCoefficient ** (failures - 1));
}

/**
 * Calls an activity that isn't a partition until it has really answered: again at once when it was handed back or its worker
 * crashed (a bounded number of times), again after a backoff while the connection is away. Other failures have used up
 * Temporal's own retries and are thrown under their own code.
 */
export async function steadily<T>(call: () => Promise<T>, wait: ConnectionWait, hooks: SteadyHooks = {}): Promise<T> {
  const counts = { crashes: 0, away: 0, waited: 0 };
  for (;;) {
    try {
      const answer = await call();
      if (counts.away > 0) await hooks.resumed?.();
      return answer;
    } catch (error) {
      await goOn(endingOf(error), error, wait, hooks, counts);
    }
  }
}

type Counts = { crashes: number; away: number; waited: number };

/** Returns when the call may be tried again. */
async function goOn(ending: Ending, error: unknown, wait: ConnectionWait, hooks: SteadyHooks, counts: Counts) {
  if (ending.kind === 'cancelled' && CancellationScope.current().consideredCancelled) throw error;
  if (ending.kind === 'handed back' || ending.kind === 'cancelled') return;
  if (ending.kind === 'crashed') {
    counts.crashes += 1;
    if (counts.crashes > wait.maximumCrashes) throw failure('Crashed', crashed(ending.message, counts.crashes));
    return;
  }
  if (ending.handling !== 'connection') throw failure(ending.code, ending.message);
  counts.away += 1;
  const pause = backoff(wait, counts.away);
  counts.waited += pause;
  if (wait.patience !== undefined && counts.waited > wait.patience) throw failure(ending.code, ending.message);
  await hooks.waiting?.(ending.message);
  await sleep(pause);
}

function crashed(message: string, times: number): string {
  return `Gave up after ${times} crashes in a row: ${message}. Look at the logs of the workers that ran it.`;
}
