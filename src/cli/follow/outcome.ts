import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import type { JobProgress } from '../../../workflows/messages.js';
import { EXIT, type ExitCode } from '../exit-codes.js';

/** Why a job failed, as written for users. */
export interface Failure {
  /** One of src/core/errors.ts, when the failure came from there. */
  readonly code?: string;
  readonly message: string;
  readonly next?: string;
}

/** How following a job ended. */
export type Outcome = {
  readonly workflowId: string;
  readonly runId: string;
  /** Absent when no worker was there to tell. */
  readonly progress?: JobProgress;
} & (
  | { readonly kind: 'complete' | 'complete with rejects' | 'complete with skips' | 'waiting on parked' }
  | { readonly kind: 'failed' | 'cancelled'; readonly failure: Failure }
);

export function exitCodeOf(outcome: Outcome): ExitCode {
  switch (outcome.kind) {
    case 'complete':
      return EXIT.ok;
    case 'complete with rejects':
    case 'complete with skips':
      return EXIT.skips;
    case 'waiting on parked':
      return EXIT.waiting;
    case 'cancelled':
      return EXIT.failed;
    case 'failed':
      return outcome.failure.code === 'JobInvalid' ? EXIT.wrong : EXIT.failed;
  }
}

/** The end of a workflow as its client throws it. Anything but the workflow's own failure is thrown on. */
export function failureOutcome(thrown: unknown): { kind: 'failed' | 'cancelled'; failure: Failure } {
  if (!(thrown instanceof WorkflowFailedError)) throw thrown;
  const { cause } = thrown;
  if (cause instanceof CancelledFailure) return { kind: 'cancelled', failure: { message: 'The job was cancelled.' } };
  return { kind: 'failed', failure: readFailure(cause) };
}

function readFailure(cause: Error | undefined): Failure {
  if (cause instanceof TerminatedFailure) {
    return { message: `The workflow was terminated from outside (${cause.message || 'no reason given'}).` };
  }
  if (cause instanceof TimeoutFailure) return { message: 'The workflow ran into the timeout it was started with.' };
  if (cause instanceof ActivityFailure || cause instanceof ChildWorkflowFailure) return readFailure(cause.cause);
  if (cause instanceof ApplicationFailure) return readApplicationFailure(cause);
  return { message: cause?.message ?? 'The workflow failed without saying why.' };
}

function readApplicationFailure({ type, message, details }: ApplicationFailure): Failure {
  const next = nextStepIn(details?.[0]);
  return { ...(type ? { code: type } : {}), message, ...(next === undefined ? {} : { next }) };
}

function nextStepIn(detail: unknown): string | undefined {
  if (typeof detail !== 'object' || detail === null || !('next' in detail)) return undefined;
  return typeof detail.next === 'string' ? detail.next : undefined;
}
