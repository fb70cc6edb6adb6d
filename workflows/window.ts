import { CancellationScope, condition, isCancellation, sleep } from '@temporalio/workflow';
import type { PartitionResult } from '../src/core/activities.js';
import type { CopyTableInput } from './messages.js';
import { endingOf, failure, short, type Ending } from './failures.js';
import { partitionActivity } from './proxies.js';
import { backoff } from './steady.js';
import type { TableBook } from './table-book.js';

/** Ordinals asked of the ledger at a time, for a table whose run was resumed. */
const PAGE = 1_000;

export interface WindowHooks {
  /** Slots that the table may use now. */
  slots(): number;
  /** Something changed that others may have to know. `event`: the parent in any case, soon. */
  changed(event: boolean): void;
  /** No partition is begun any more: the execution is to continue as new. */
  draining(): boolean;
  /** A partition has its receipt, and is not skipped. */
  committed(ordinal: number): void;
  /** Asks the ledger which ordinals in [from, to) have no receipt. */
  pending(from: number, to: number): Promise<readonly number[]>;
}

/**
 * The sliding window of one table: begins partitions as slots allow, refills as each ends, and never has more in flight than
 * it was granted. Every partition ends in exactly one way: committed, skipped, parked, or to be begun again.
 */
export class PartitionWindow {
  #dirty = false;
  /** Consecutive failures of the connection; none while it works. */
  #away = 0;
  #probe = false;
  #fatal: unknown;

  constructor(
    private readonly input: CopyTableInput,
    private readonly book: TableBook,
    private readonly hooks: WindowHooks,
  ) {}

  /** Something outside changed: slots, or parked partitions that are to be tried again. */
  wake(): void {
    this.#dirty = true;
  }

  /** How many partitions could be in flight now if slots were no matter. */
  get wants(): number {
    const { running } = this.book;
    const ready = this.#ready;
    if (ready === 0) return running;
    return this.#away > 0 ? Math.max(1, running) : running + ready;
  }

  /** So many are parked that no more are begun, but for what a person asked for. */
  get #blocked(): boolean {
    return this.#fatal !== undefined || this.book.parked.length >= this.input.maxParked;
  }

  /** Partitions that are neither running nor kept from being begun. */
  get #ready(): number {
    if (this.#fatal !== undefined) return 0;
    return this.#blocked ? this.book.asked : this.book.left;
  }

  /**
   * Returns when nothing is in flight and nothing may be begun. Throws what ends the whole table, after the others in flight
   * were cancelled and have ended.
   */
  async copy(): Promise<void> {
    const scope = new CancellationScope();
    try {
      await scope.run(() => this.#loop(scope));
    } catch (error) {
      scope.cancel();
      throw error;
    } finally {
      await CancellationScope.nonCancellable(() => condition(() => this.book.running === 0));
    }
    if (this.#fatal !== undefined) throw this.#fatal as Error;
  }

  async #loop(scope: CancellationScope): Promise<void> {
    for (;;) {
      if (this.#fatal !== undefined) {
        scope.cancel();
        return;
      }
      await this.#nextPage();
      this.#fill();
      this.hooks.changed(false);
      if (this.#finished) return;
      if (this.#away > 0 && this.book.running === 0 && !this.#probe) await this.#pause();
      else await condition(() => this.#dirty);
      this.#dirty = false;
    }
  }

  get #finished(): boolean {
    return this.book.running === 0 && (this.#ready === 0 || this.hooks.draining());
  }

  #fill(): void {
    while (this.#mayBegin()) {
      const ordinal = this.book.begin();
      if (ordinal === undefined) return;
      this.#probe = false;
      this.#watch(ordinal);
    }
  }

  #mayBegin(): boolean {
    if (this.#ready === 0 || this.hooks.draining() || this.book.running >= this.hooks.slots()) return false;
    return this.#away === 0 || this.#probe;
  }

  /** Waits out a backoff, then lets one partition try whether the connection is back. */
  async #pause(): Promise<void> {
    await sleep(backoff(this.input.retry, this.#away));
    this.#probe = true;
  }

  async #nextPage(): Promise<void> {
    if (this.#blocked || this.hooks.draining()) return;
    for (let from = this.book.pageWanted; from !== undefined; from = this.book.pageWanted) {
      this.book.pageFound(from + PAGE, await this.hooks.pending(from, from + PAGE));
    }
  }

  #watch(ordinal: number): void {
    this.#attempt(ordinal)
      .catch((bug: unknown) => {
        this.#fatal ??= bug;
        this.book.dropped();
      })
      .finally(() => this.wake());
  }

  async #attempt(ordinal: number): Promise<void> {
    let result: PartitionResult | Ending;
    try {
      result = await this.#call(ordinal);
    } catch (error) {
      result = this.#endingOf(error);
    }
    if ('kind' in result) this.#ended(ordinal, result);
    else if (result.outcome === 'handedBack') this.#ended(ordinal, { kind: 'handed back' });
    else {
      this.book.settled(ordinal, result);
      if (result.outcome === 'committed') this.hooks.committed(ordinal);
      this.#connected();
    }
  }

  #call(ordinal: number): Promise<PartitionResult> {
    const { run, table, source, destination, servers, retry } = this.input;
    const ref = { run, table, source, destination, ...(servers && { servers }), ordinal };
    const name = `${table} ${this.book.label(ordinal)}`;
    if (this.book.isToBeSkipped(ordinal)) return partitionActivity('skipPartition', retry, `${name}: skip`)(ref);
    const { stallTimeout, firstByteTimeout } = retry;
    const limits = { stallTimeout, ...(firstByteTimeout !== undefined && { firstByteTimeout }) };
    return partitionActivity('copyPartition', retry, name)({ ...ref, ...limits });
  }

  /** Cancelled without a cancellation of ours: its worker gave it up. */
  #endingOf(error: unknown): Ending {
    if (isCancellation(error) && !CancellationScope.current().consideredCancelled) return { kind: 'handed back' };
    return endingOf(error);
  }

  #ended(ordinal: number, ending: Ending): void {
    if (ending.kind === 'cancelled') this.book.dropped();
    else if (ending.kind === 'handed back') this.book.again(ordinal);
    else if (ending.kind === 'crashed') this.#crashed(ordinal, ending);
    else this.#failed(ordinal, ending);
  }

  #crashed(ordinal: number, ending: Extract<Ending, { kind: 'crashed' }>): void {
    const parked = this.book.crashed(ordinal, ending, this.input.retry.maximumCrashes);
    if (parked) this.#parked();
  }

  #failed(ordinal: number, ending: Extract<Ending, { kind: 'failed' }>): void {
    const { code, handling, message } = ending;
    if (handling === 'connection') {
      this.book.again(ordinal);
      this.#disconnected(message);
      return;
    }
    this.#connected();
    if (handling === 'table' || handling === 'job') {
      this.book.dropped();
      this.#fatal ??= failure(code, message);
      return;
    }
    this.book.park(ordinal, ending, handling === 'retry' ? this.input.retry.maximumAttempts : 1);
    this.#parked();
  }

  /** The first is news; how many more there are is told when the table waits for them. */
  #parked(): void {
    this.hooks.changed(this.book.parked.length === 1);
  }

  /** Those that were in flight when the connection failed fail with it: together they are one failure. */
  #disconnected(message: string): void {
    if (this.#away === 0 || this.book.running === 0) this.#away += 1;
    const first = this.book.phase !== 'waiting for connection';
    this.book.phase = 'waiting for connection';
    this.book.note = short(message);
    if (first) this.hooks.changed(true);
  }

  #connected(): void {
    if (this.#away === 0) return;
    this.#away = 0;
    this.#probe = false;
    this.book.phase = 'copying';
    this.book.note = undefined;
    this.hooks.changed(true);
  }
}
