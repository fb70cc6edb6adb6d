import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';
import { HANDED_BACK, labelIn } from '../src/core/activities.js';
import { handlingOf, isErrorCode, type ErrorCode, type Handling } from '../src/core/errors.js';
import { bounded, boundedAmid } from '../src/core/text.js';

/** What became of an activity that did not answer. */
export type Ending =
  | { readonly kind: 'cancelled' }
  /** Its worker shuts down, or it was paused: to be scheduled anew at once. */
  | { readonly kind: 'handed back' }
  /** Its worker was not heard of, or its time was up. */
  | { readonly kind: 'crashed'; readonly message: string; readonly label?: string }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly handling: Handling;
      readonly message: string;
      /** The partition's, as the ledger calls it; absent where the attempt didn't come so far. */
      readonly label?: string;
    };

/** Bytes of one partition's or table's last error, as the workflow keeps and shows it. */
const SHORT = 300;
/** Bytes of a partition's label: a query's id may be longer than what a list of parked partitions has room for. */
const LABEL = 100;

/** Sorts what a call of an activity threw. Anything else than an activity's failure is a bug of the workflow and is thrown on. */
export function endingOf(error: unknown): Ending {
  if (isCancellation(error)) return { kind: 'cancelled' };
  if (!(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  if (cause instanceof TimeoutFailure)
    return { kind: 'crashed', message: crashMessage(cause), ...labelled([cause.lastHeartbeatDetails]) };
  if (!(cause instanceof ApplicationFailure)) return failed('Unknown', cause?.message ?? error.message);
  if (cause.type === HANDED_BACK) return { kind: 'handed back' };
  const code = isErrorCode(cause.type) ? cause.type : 'Unknown';
  return { ...failed(code, wholeMessage(cause)), ...labelled(cause.details ?? []) };
}

function labelled(details: readonly unknown[]): { label?: string } {
  const label = labelIn(details);
  return label === undefined ? {} : { label: bounded(label, LABEL) };
}

/** An activity's message is bounded; where it left lines out, all of it stands in the details. */
function wholeMessage({ message, details }: ApplicationFailure): string {
  const whole = details?.find((detail) => typeof detail === 'string');
  return whole ?? message;
}

function failed(code: ErrorCode, message: string): Ending {
  return { kind: 'failed', code, handling: handlingOf(code), message };
}

function crashMessage({ timeoutType }: TimeoutFailure): string {
  if (timeoutType === 'HEARTBEAT') return 'its worker was not heard of for the heartbeat timeout';
  return `it took longer than its timeout (${timeoutType})`;
}

export function short(message: string): string {
  return boundedAmid(message.replace(/\s+/g, ' ').trim(), SHORT);
}

/** A deliberate end of a workflow: never retried, without a stack, since it is no bug and has to stay short. */
export function failure(type: string, message: string, ...details: string[]): ApplicationFailure {
  const made = ApplicationFailure.nonRetryable(message, type, ...details);
  made.stack = '';
  return made;
}

/** In the details of a table's failure: its target was replaced before it failed. */
export const AFTER_PUBLISH = 'after publish';

export interface ChildEnding {
  readonly cancelled: boolean;
  /** The target isn't as it was before. */
  readonly published: boolean;
  /** The type of its failure: an error's code, or a workflow's own. */
  readonly code?: string;
  readonly message: string;
}

/** Why a child ended badly, in its own words. */
export function childEnding(error: unknown): ChildEnding {
  if (isCancellation(error)) return { cancelled: true, published: false, message: 'cancelled' };
  if (!(error instanceof ChildWorkflowFailure)) throw error;
  const { cause } = error;
  const published = cause instanceof ApplicationFailure && cause.details?.[0] === AFTER_PUBLISH;
  const code = cause instanceof ApplicationFailure ? cause.type : undefined;
  return { cancelled: false, published, ...(code != null && { code }), message: cause?.message ?? error.message };
}

/** Of a job that did not hear of its run: refusals leave none behind; whatever else ended it may have come after the run was opened. */
export function mayBeOpen(error: unknown): boolean {
  const type = (error as { type?: unknown }).type;
  return !(typeof type === 'string' && isErrorCode(type) && handlingOf(type) === 'job');
}
