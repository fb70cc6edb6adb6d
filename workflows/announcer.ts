import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { TableRef } from '../src/core/activities.js';
import type { RetrySpec } from '../src/core/model.js';
import { counted } from '../src/core/text.js';
import { endingOf, short } from './failures.js';
import type { OrdinalRange } from './messages.js';
import { announcingActivity, ANNOUNCING_WAIT } from './proxies.js';
import { backoff } from './steady.js';

/** Partitions that are told of at a time. */
const BATCH = 500;
/** Milliseconds in which more is gathered before a batch is told: each is an activity in the table's history. */
const GATHERING = 3_000;
/** So many ranges of what is not told yet are carried on; the last takes in all that is left, and some are told a second time. */
const MOST_RANGES = 100;
/** Failures in a row after which nothing is tried any more, once the table is about to end. */
const LAST_TRIES = 3;

/**
 * Tells others, by the `onCommitted` of a table's list, which of its queries are committed: each at least once, one batch at a time,
 * everything that was committed since the last. A courtesy: that it fails is said, and keeps nothing else from going on.
 */
export class Announcer {
  readonly #untold = new Set<number>();
  /** Of the batch that is told now. */
  #inFlight: readonly number[] = [];
  readonly #scope = new CancellationScope();
  #telling = false;
  /** The table's execution is about to end: failures are not waited out any more. */
  #last = false;
  #failures = 0;
  #reason: string | undefined;

  constructor(
    private readonly ref: TableRef,
    private readonly retry: RetrySpec,
    private readonly changed: () => void,
    untold: readonly OrdinalRange[] = [],
  ) {
    for (const range of untold) this.#add(range);
  }

  /** What there is to be said of it when it does not work. */
  get warning(): string | undefined {
    if (this.#reason === undefined) return undefined;
    const left = counted(this.#left.length, 'committed query', 'committed queries');
    return `the list's onCommitted was not run for ${left}: ${this.#reason}`;
  }

  /** Not all are known to be told. */
  get pending(): boolean {
    return this.#left.length > 0;
  }

  get #left(): readonly number[] {
    return [...new Set([...this.#inFlight, ...this.#untold])];
  }

  /** For the execution that continues this one. */
  get untold(): readonly OrdinalRange[] {
    return rangesOf(this.#left, MOST_RANGES);
  }

  /** Of these partitions as far as they are committed: others are told of when they are. */
  tell(range: OrdinalRange): void {
    this.#add(range);
    this.begin();
  }

  begin(): void {
    if (this.#telling || this.#untold.size === 0) return;
    this.#telling = true;
    this.#scope
      .run(() => this.#tellAll())
      .catch((error: unknown) => {
        if (!isCancellation(error)) this.#failed(String(error));
      });
  }

  /** Tells the rest, if that can be done in so many milliseconds. Nothing is told after it. */
  async end(patience: number): Promise<void> {
    this.#last = true;
    this.#failures = 0;
    this.begin();
    if (!this.#telling || (await condition(() => !this.#telling, patience))) return;
    this.#failed(this.#reason ?? 'it was not answered in time');
    this.#scope.cancel();
  }

  #add([first, last]: OrdinalRange): void {
    for (let ordinal = first; ordinal <= last; ordinal += 1) this.#untold.add(ordinal);
  }

  async #tellAll(): Promise<void> {
    try {
      while (this.#untold.size > 0) {
        await condition(() => this.#last, GATHERING);
        await this.#tellSome([...this.#untold].slice(0, BATCH));
        if (this.#failures === 0) continue;
        if (this.#last && this.#failures >= LAST_TRIES) return;
        const last = this.#last;
        await condition(() => this.#last !== last, backoff(ANNOUNCING_WAIT, this.#failures));
      }
    } finally {
      this.#telling = false;
    }
  }

  /** What is committed meanwhile is told of again: the ledger may have been asked before. */
  async #tellSome(ordinals: readonly number[]): Promise<void> {
    for (const ordinal of ordinals) this.#untold.delete(ordinal);
    this.#inFlight = ordinals;
    const summary = `${this.ref.table}: tell of ${counted(ordinals.length, 'committed query', 'committed queries')}`;
    try {
      await announcingActivity(this.retry, summary)({ ...this.ref, ordinals });
      this.#inFlight = [];
      this.#worked();
    } catch (error) {
      for (const ordinal of ordinals) this.#untold.add(ordinal);
      this.#inFlight = [];
      this.#notTold(error);
    }
  }

  /** A batch that its worker has handed back is told again at once. */
  #notTold(error: unknown): void {
    if (isCancellation(error) && this.#scope.consideredCancelled) throw error;
    const ending = endingOf(error);
    if (ending.kind === 'crashed' || ending.kind === 'failed') this.#failed(short(ending.message));
  }

  #worked(): void {
    const failed = this.#reason !== undefined;
    this.#failures = 0;
    this.#reason = undefined;
    if (failed) this.changed();
  }

  #failed(reason: string): void {
    this.#failures += 1;
    this.#reason = reason;
    this.changed();
  }
}

/** Ordinals in as few ranges as there are, but no more than `most`: then the last spans all that are left. */
export function rangesOf(ordinals: readonly number[], most: number): OrdinalRange[] {
  const ranges: [number, number][] = [];
  for (const ordinal of [...ordinals].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && (ordinal === last[1] + 1 || ranges.length === most)) last[1] = ordinal;
    else ranges.push([ordinal, ordinal]);
  }
  return ranges;
}
