import { Context } from '@temporalio/activity';
import type { CopyProgress } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import type { Log, Meter, SessionOptions } from '../src/connectors/types.js';

/** The most seconds between two looks at the meter; the SDK decides which of them are sent to the server. */
const TICK = 1_000;

/** Milliseconds; see RetrySpec. */
export interface StallLimits {
  readonly stallTimeout: number;
  readonly firstByteTimeout?: number;
}

/** One activity attempt: its own abort, its meter and its log. Nothing of it outlives the attempt. */
export interface Attempt {
  /** Aborted by a cancellation, a worker's shutdown, a pause, or by `Stalled`; its reason is what the attempt ends with. */
  readonly signal: AbortSignal;
  readonly meter: Meter;
  readonly log: Log;
  /** Counts from 1 within one scheduling of the activity: a label, never an order. */
  readonly number: number;
  session(): SessionOptions;
  /** From now until disposed, bytes have to move. */
  watchBytes(limits: StallLimits): Disposable;
}

/** What an attempt is about, for logs and for the label of its sessions. */
export interface Subject {
  readonly table?: string;
  readonly partition?: number;
}

function labelOf({ table, partition }: Subject): string {
  return ['longhaul', ...(table === undefined ? [] : [table]), ...(partition === undefined ? [] : [partition])].join(
    ' ',
  );
}

/** A table's workflow id is its job's, a slash and the table's name. */
function jobOf({ info }: Context, { table }: Subject): { job?: string } {
  const id = info.workflowExecution?.workflowId;
  if (id === undefined) return {};
  return { job: table !== undefined && id.endsWith(`/${table}`) ? id.slice(0, -table.length - 1) : id };
}

function withFields(log: Log, fields: Record<string, unknown>): Log {
  return {
    debug: (more, message) => log.debug({ ...fields, ...more }, message),
    info: (more, message) => log.info({ ...fields, ...more }, message),
    warn: (more, message) => log.warn({ ...fields, ...more }, message),
  };
}

/**
 * Runs the body of an activity beside a heartbeat that reports its meter. When the attempt was aborted it ends with the
 * abort's reason, whatever error a driver made of it; a driver's "cancelled by user request" must not become a failure.
 */
export async function attempt<T>(
  deps: { readonly log: Log },
  subject: Subject,
  body: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const log = withFields(deps.log, { ...jobOf(context, subject), ...subject, attempt: context.info.attempt });
  const controller = new AbortController();
  const follow = (): void => controller.abort(context.cancellationSignal.reason);
  if (context.cancellationSignal.aborted) follow();
  context.cancellationSignal.addEventListener('abort', follow, { once: true });
  const running = new RunningAttempt(controller, log, labelOf(subject), context.info.attempt);
  const pump = setInterval(() => running.tick(context), TICK);
  try {
    running.tick(context);
    return await body(running);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error;
  } finally {
    clearInterval(pump);
    context.cancellationSignal.removeEventListener('abort', follow);
  }
}

class RunningAttempt implements Attempt {
  readonly meter: Meter = { rows: 0, bytes: 0, phase: 'connecting' };
  readonly signal: AbortSignal;
  #watch: { limits: StallLimits; bytes: number; since: number } | undefined;

  constructor(
    private readonly controller: AbortController,
    readonly log: Log,
    private readonly label: string,
    readonly number: number,
  ) {
    this.signal = controller.signal;
  }

  session(): SessionOptions {
    return { signal: this.signal, log: this.log, label: this.label, attempt: this.number, meter: this.meter };
  }

  watchBytes(limits: StallLimits): Disposable {
    this.#watch = { limits, bytes: movedBy(this.meter), since: Date.now() };
    return { [Symbol.dispose]: () => (this.#watch = undefined) };
  }

  /** After an abort nothing is reported any more: an attempt that can't end is then found dead by its heartbeat. */
  tick(context: Context): void {
    if (this.signal.aborted) return;
    context.heartbeat({ ...this.meter } satisfies CopyProgress);
    this.#lookForStall();
  }

  #lookForStall(): void {
    const watch = this.#watch;
    if (watch === undefined) return;
    const bytes = movedBy(this.meter);
    if (bytes !== watch.bytes) {
      watch.bytes = bytes;
      watch.since = Date.now();
      return;
    }
    const { stallTimeout, firstByteTimeout } = watch.limits;
    const limit = bytes === 0 ? firstByteTimeout : stallTimeout;
    if (limit !== undefined && Date.now() - watch.since >= limit) this.controller.abort(stalled(this.meter, limit));
  }
}

/** Bytes that were read, and those that wait at the source to be. */
function movedBy({ bytes, spooled = 0 }: Meter): number {
  return bytes + spooled;
}

function stalled(meter: Meter, limit: number): LonghaulError {
  const seconds = Math.round(limit / 1000);
  const { rows } = meter;
  const bytes = movedBy(meter);
  const what = bytes === 0 ? 'The first byte did not come' : `No byte moved after ${rows} rows and ${bytes} bytes`;
  const option = bytes === 0 ? 'retry.firstByteTimeout' : 'retry.stallTimeout';
  return new LonghaulError('Stalled', `${what} for ${seconds} s, so the attempt was ended and rolled back.`, {
    next: `If the source needs longer, raise ${option}; if it is blocked, look for locks there.`,
  });
}
