import { ApplicationFailure, CancelledFailure, type Context } from '@temporalio/activity';
import { HANDED_BACK, type PartitionDetail } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import { bounded, boundedLines } from '../src/core/text.js';

/** Together under 4 KB: a larger failure is cut to a few characters where pending activities are shown. */
const MESSAGE_BYTES = 3_000;
const STACK_BYTES = 700;
/** Of the problems of a wrong job: such a failure is never pending, and the job's own failure lists what stands here. */
const WHOLE_BYTES = 50_000;

/**
 * Whether this attempt was ended for its worker's sake or by a pause: not a failure, and not a cancellation of the job. To be
 * asked when it has ended with an error.
 */
export function isHandedBack({ cancellationSignal, cancellationDetails }: Context): boolean {
  if (!cancellationSignal.aborted) return false;
  const { reason } = cancellationSignal as { reason: unknown };
  if (reason instanceof CancelledFailure && reason.message === 'WORKER_SHUTDOWN') return true;
  const { workerShutdown, paused, reset, cancelRequested } = cancellationDetails ?? {};
  return !cancelRequested && (workerShutdown === true || paused === true || reset === true);
}

/** What Temporal is told of an attempt that ended with an error. */
export function toFailure(error: unknown, context: Context): Error {
  if (context.cancellationSignal.aborted) {
    if (!isHandedBack(context)) return context.cancellationSignal.reason as Error;
    return quiet(ApplicationFailure.nonRetryable('Its worker is shutting down, or it was paused.', HANDED_BACK));
  }
  const first = firstOf(error);
  if (first instanceof ApplicationFailure || first instanceof CancelledFailure) return first;
  return first instanceof LonghaulError ? known(first) : unknown(first);
}

/**
 * Why the attempt ended, where something failed once more while its sessions were ended: then `await using` throws an error without a
 * message of its own, around both.
 */
function firstOf(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'SuppressedError' || !('suppressed' in error)) return error;
  return firstOf(error.suppressed);
}

/** Says in a failure's details whose it is: the workflow knows a partition's number, the ledger its label. */
export function ofPartition(failure: Error, partition: string | undefined): Error {
  if (partition === undefined || !(failure instanceof ApplicationFailure)) return failure;
  const detail: PartitionDetail = { partition };
  const { message, type, nonRetryable } = failure;
  const told = ApplicationFailure.create({
    ...{ message, type: type ?? 'Unknown', nonRetryable: nonRetryable ?? false },
    details: [...(failure.details ?? []), detail],
  });
  told.stack = failure.stack ?? '';
  return told;
}

function known(error: LonghaulError): ApplicationFailure {
  const message = textOf(error, MESSAGE_BYTES);
  const whole = error.problems.length > 0 ? textOf(error, WHOLE_BYTES) : message;
  return withStack(
    error.cause instanceof Error ? error.cause.stack : undefined,
    ApplicationFailure.create({
      message,
      type: error.code,
      nonRetryable: error.handling !== 'retry',
      // The workflow reads a text among the details as the message in whole.
      ...(whole !== message && { details: [whole] }),
    }),
  );
}

function textOf({ message, next }: LonghaulError, limit: number): string {
  const lines = message.split('\n');
  const text = [boundedLines(lines, limit - 400), ...(next === undefined ? [] : [bounded(next, 380)])];
  return text.join(lines.length > 1 ? '\n' : ' ');
}

/** Unknown is retried: a partition that keeps failing this way parks, and its stack says where to look. */
function unknown(error: unknown): ApplicationFailure {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const failure = ApplicationFailure.retryable(bounded(`${name}: ${message}`, MESSAGE_BYTES), 'Unknown');
  return withStack(stack, failure);
}

function framesOf(stack: string | undefined): string {
  const lines = (stack ?? '').split('\n');
  return lines.filter((line) => /^\s+at /.test(line)).join('\n');
}

/** An error that says itself what to do needs no stack. */
function quiet(failure: ApplicationFailure): ApplicationFailure {
  return withStack(undefined, failure);
}

function withStack(stack: string | undefined, failure: ApplicationFailure): ApplicationFailure {
  failure.stack = bounded(framesOf(stack), STACK_BYTES);
  return failure;
}
