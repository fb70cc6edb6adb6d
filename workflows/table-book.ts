import type { PartitionResult, PreparedTable, PublishOutcome } from '../src/core/activities.js';
import {
  REPORTED_PARKED,
  type CopyTableInput,
  type CopyTableState,
  type ParkedPartition,
  type TablePhase,
  type TableProgress,
} from './messages.js';
import { short } from './failures.js';
import { isCalled, partitionLabel } from './ids.js';

/** A partition that has its receipt. */
type Settled = Exclude<PartitionResult, { outcome: 'handedBack' }>;
type Published = Extract<PublishOutcome, { outcome: 'published' }>;
/** Why a partition parks; `label`: as the ledger calls it, where the attempt came so far. */
type Cause = { readonly message: string; readonly label?: string };

/**
 * What copyTable knows of its table: which partitions are left, parked or done, and the counters that people see. Nothing in it
 * grows with the table: what is not begun is a cursor, or pages of ordinals asked of the ledger.
 */
export class TableBook {
  phase: TablePhase = 'preparing';
  note: string | undefined;
  /** See `TableProgress.warning`. */
  warning: string | undefined;
  running = 0;
  /** Partitions begun by this execution, for the injected threshold of continue-as-new. */
  begun = 0;
  readonly #input: CopyTableInput;
  #cursor = 0;
  #again: number[] = [];
  #parked: ParkedPartition[] = [];
  /** Of those in `again` or running, the ones that a person wants skipped. */
  readonly #toSkip = new Set<number>();
  /** Of those in `again` or running, the ones that a person asked for: begun first, and however many others are parked. */
  readonly #asked = new Set<number>();
  #plan: { partitions: number; pages: number; estimatedRows?: number; reason: string } | undefined;
  #committed = 0;
  #skipped = 0;
  #rows = 0;
  #quarantined = 0;
  #rejectsTable: string | undefined;
  #bytes = 0;
  #publishWarning: string | undefined;
  #retries = 0;
  #crashes: Record<string, number> = {};
  #fromLedger = false;
  #sawEvery = true;
  #startedAt: string;
  #endedAt: string | undefined;

  constructor(input: CopyTableInput, now: string) {
    this.#input = input;
    this.#startedAt = now;
    if (input.state !== undefined) this.#restore(input.state);
  }

  get planned(): boolean {
    return this.#plan !== undefined;
  }

  get partitions(): number {
    return this.#plan?.partitions ?? 0;
  }

  get parked(): readonly ParkedPartition[] {
    return this.#parked;
  }

  label(ordinal: number): string {
    return partitionLabel(ordinal, this.partitions);
  }

  plan({ plan, alreadyCommitted, alreadySkipped = 0 }: PreparedTable): void {
    this.#plan = plan;
    this.#committed = alreadyCommitted - alreadySkipped;
    this.#skipped = alreadySkipped;
    this.#fromLedger = alreadyCommitted > 0;
    this.#sawEvery = alreadyCommitted === 0;
  }

  /** Partitions that are neither running, parked nor known to be done. Of a resumed table the most that it can be. */
  get left(): number {
    return this.#again.length + this.partitions - this.#cursor;
  }

  /** Of those that are left, the ones that a person asked for. */
  get asked(): number {
    return this.#again.filter((ordinal) => this.#asked.has(ordinal)).length;
  }

  /** The next ordinals have to be asked of the ledger, from this one on. */
  get pageWanted(): number | undefined {
    return this.#fromLedger && this.#again.length === 0 && this.#cursor < this.partitions ? this.#cursor : undefined;
  }

  pageFound(upTo: number, ordinals: readonly number[]): void {
    this.#cursor = Math.min(upTo, this.partitions);
    this.#again.push(...ordinals);
  }

  /** The next partition to begin; it counts as running until it ends in one of the ways below. */
  begin(): number | undefined {
    const next = this.#nextAgain() ?? this.#fromCursor();
    if (next === undefined) return undefined;
    this.running += 1;
    this.begun += 1;
    return next;
  }

  #nextAgain(): number | undefined {
    const asked = this.#again.findIndex((ordinal) => this.#asked.has(ordinal));
    return this.#again.splice(Math.max(0, asked), 1)[0];
  }

  #fromCursor(): number | undefined {
    if (this.#fromLedger || this.#cursor >= this.partitions) return undefined;
    this.#cursor += 1;
    return this.#cursor - 1;
  }

  settled(ordinal: number, result: Settled): void {
    this.running -= 1;
    this.#forget(ordinal);
    if (result.outcome === 'skipped') {
      this.#skipped += 1;
      return;
    }
    this.#committed += 1;
    this.#rows += result.rows;
    this.#quarantined += result.quarantined ?? 0;
    this.#bytes += result.bytes;
    this.#retries += result.attempts - 1;
  }

  isToBeSkipped(ordinal: number): boolean {
    return this.#toSkip.has(ordinal);
  }

  /** To be begun again, before any other. */
  again(ordinal: number): void {
    this.running -= 1;
    this.#retries += 1;
    this.#again.unshift(ordinal);
  }

  /** Counts a lost worker; parks the partition once it was one too many. Answers whether it parked. */
  crashed(ordinal: number, { message, label }: Cause, maximumCrashes: number): boolean {
    const crashes = (this.#crashes[ordinal] ?? 0) + 1;
    this.#crashes[ordinal] = crashes;
    if (crashes <= maximumCrashes) {
      this.again(ordinal);
      return false;
    }
    const cause = { code: 'Crashed', message: `${crashes} crashes: ${message}`, ...(label !== undefined && { label }) };
    this.park(ordinal, cause, 1);
    return true;
  }

  /** Ended by a cancellation: neither done nor to be begun again. */
  dropped(): void {
    this.running -= 1;
  }

  park(ordinal: number, { code, message, label }: Cause & { code: string }, attempts: number): void {
    this.running -= 1;
    this.#retries += attempts - 1;
    this.#forget(ordinal);
    this.#parked.push({ ordinal, label: label ?? this.label(ordinal), code, error: short(message) });
    this.#parked.sort((a, b) => a.ordinal - b.ordinal);
  }

  /** Parked partitions to be tried again: those of these labels, or all. `first`: see `asked`. Answers with how many there were. */
  unpark(labels: readonly string[] | undefined, first: boolean): number {
    const back = this.#takeParked(labels, first);
    this.#retries += back.length;
    return back.length;
  }

  /** Parked partitions to be skipped: those of these labels. `first`: see `asked`. Answers with how many there were. */
  skip(labels: readonly string[], first: boolean): number {
    const back = this.#takeParked(labels, first);
    for (const ordinal of back) this.#toSkip.add(ordinal);
    return back.length;
  }

  #takeParked(labels: readonly string[] | undefined, first: boolean): number[] {
    const taken = this.#parked.filter((each) => labels?.some((label) => isCalled(each, label)) ?? true);
    this.#parked = this.#parked.filter((each) => !taken.includes(each));
    const ordinals = taken.map(({ ordinal }) => ordinal);
    this.#again.push(...ordinals);
    if (first) for (const ordinal of ordinals) this.#asked.add(ordinal);
    return ordinals;
  }

  /** The ledger lost these receipts: to be copied again, and the sums made here no longer say anything. */
  missing(ordinals: readonly number[]): void {
    this.#again.push(...ordinals);
    this.#committed -= ordinals.length;
    this.#sawEvery = false;
  }

  /** The rows, written and set aside, that publish has to find, where every receipt was counted here. */
  get expected(): { readonly rows: number; readonly quarantined: number } | undefined {
    return this.#sawEvery ? { rows: this.#rows, quarantined: this.#quarantined } : undefined;
  }

  published({ committed, skipped, rows, quarantined = 0, rejectsTable, bytes, warning }: Published, now: string): void {
    this.#committed = committed;
    this.#skipped = skipped;
    this.#rows = rows;
    this.#quarantined = quarantined;
    this.#rejectsTable = rejectsTable;
    this.#bytes = bytes;
    this.#publishWarning = warning;
    this.ended('published', now);
  }

  ended(phase: 'published' | 'failed' | 'cancelled', now: string, note?: string): void {
    this.phase = phase;
    this.note = note;
    this.#endedAt = now;
  }

  progress(slots: number): TableProgress {
    const { table, to, mode } = this.#input;
    const plan = this.#plan;
    const warning = this.warning ?? this.#publishWarning;
    return {
      ...{ table, to, mode, phase: this.phase, committed: this.#committed, running: this.running },
      ...{ rows: this.#rows, bytes: this.#bytes, retries: this.#retries, skipped: this.#skipped },
      ...(this.#quarantined > 0 && { quarantined: this.#quarantined }),
      ...(this.#rejectsTable !== undefined && { rejectsTable: this.#rejectsTable }),
      ...{ parked: this.#parked, slots, startedAt: this.#startedAt },
      ...(plan && { partitions: plan.partitions, plan: plan.reason }),
      ...(plan?.estimatedRows !== undefined && { estimatedRows: plan.estimatedRows }),
      ...(this.note !== undefined && { note: this.note }),
      ...(warning !== undefined && { warning }),
      ...(this.#endedAt !== undefined && { endedAt: this.#endedAt }),
    };
  }

  /** As the parent is told: of the parked only the first, in order, and how many more there are. */
  report(slots: number): TableProgress {
    const progress = this.progress(slots);
    const parkedMore = this.#parked.length - REPORTED_PARKED;
    return parkedMore <= 0 ? progress : { ...progress, parked: this.#parked.slice(0, REPORTED_PARKED), parkedMore };
  }

  get pages(): number | undefined {
    return this.#plan?.pages;
  }

  /** For the execution that continues this one. Only of a planned table whose window has drained. */
  state(): CopyTableState {
    const { partitions, pages, estimatedRows, reason } = this.#plan!;
    return {
      ...{ cursor: this.#cursor, again: this.#again, parked: this.#parked, partitions, pages, reason },
      ...(estimatedRows !== undefined && { estimatedRows }),
      ...{ committed: this.#committed, rows: this.#rows, bytes: this.#bytes, retries: this.#retries },
      ...{ crashes: this.#crashes, fromLedger: this.#fromLedger, sawEvery: this.#sawEvery, startedAt: this.#startedAt },
      ...(this.#skipped > 0 && { skipped: this.#skipped }),
      ...(this.#quarantined > 0 && { quarantined: this.#quarantined }),
      ...(this.#toSkip.size > 0 && { toSkip: [...this.#toSkip] }),
      ...(this.#asked.size > 0 && { asked: [...this.#asked] }),
    };
  }

  #restore(state: CopyTableState): void {
    this.phase = 'copying';
    this.#plan = state;
    this.#cursor = state.cursor;
    this.#again = [...state.again];
    this.#parked = [...state.parked];
    for (const ordinal of state.toSkip ?? []) this.#toSkip.add(ordinal);
    for (const ordinal of state.asked ?? []) this.#asked.add(ordinal);
    this.#committed = state.committed;
    this.#skipped = state.skipped ?? 0;
    this.#rows = state.rows;
    this.#quarantined = state.quarantined ?? 0;
    this.#bytes = state.bytes;
    this.#retries = state.retries;
    this.#crashes = { ...state.crashes };
    this.#fromLedger = state.fromLedger;
    this.#sawEvery = state.sawEvery;
    this.#startedAt = state.startedAt;
  }

  /** What was to be remembered until it came to an end. */
  #forget(ordinal: number): void {
    this.#toSkip.delete(ordinal);
    this.#asked.delete(ordinal);
    const { [ordinal]: _gone, ...rest } = this.#crashes;
    this.#crashes = rest;
  }
}
