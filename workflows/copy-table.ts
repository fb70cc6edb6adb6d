import {
  CancellationScope,
  condition,
  continueAsNew,
  ContinueAsNew,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from '@temporalio/workflow';
import type { LonghaulActivities, TableRef } from '../src/core/activities.js';
import { Allowance } from '../src/core/deal.js';
import { boundedLines, counted } from '../src/core/text.js';
import { Announcer } from './announcer.js';
import { parkedLines, tableDetails } from './details.js';
import { AFTER_PUBLISH, failure, short } from './failures.js';
import {
  grantSlots,
  plan,
  retryParked,
  skipParked,
  tableProgress,
  type CopyTableInput,
  type TableProgress,
} from './messages.js';
import { ParentLine } from './parent-line.js';
import { tableActivity } from './proxies.js';
import { steadily } from './steady.js';
import { TableBook } from './table-book.js';
import { PartitionWindow } from './window.js';

/** Times that partitions found missing at publish are copied again; each needs a failover of the destination in between. */
const MISSING_ROUNDS = 5;
/** Bytes of a table's failure, beside what the server adds to it. */
const FAILURE_BYTES = 2_500;
/** Milliseconds that others may take to be told of the rest, before a table ends and before it continues as new. */
const TELL_THE_REST = 120_000;
const TELL_ON = 5_000;

/** Copies one table: plan, window of partitions, build, publish. Answers when it is published. */
export async function copyTable(input: CopyTableInput): Promise<TableProgress> {
  return new TableCopy(input).run();
}

// A bug that throws a plain error ends the table with it, instead of blocking its workflow task for ever.
setWorkflowOptions({ failureExceptionTypes: [Error] }, copyTable);

class TableCopy {
  readonly #book: TableBook;
  readonly #allowance: Allowance;
  readonly #window: PartitionWindow;
  readonly #parent: ParentLine;
  readonly #ref: TableRef;
  /** Absent: nobody is told of what is committed. */
  readonly #announcer: Announcer | undefined;
  #ended = false;
  /** From the call of publish to its answer, the target may be either. */
  #publishing = false;

  constructor(private readonly input: CopyTableInput) {
    const { run, table, source, destination, servers } = input;
    this.#ref = { run, table, source, destination, ...(servers && { servers }) };
    this.#book = new TableBook(input, now());
    this.#allowance = new Allowance(input.grant);
    this.#window = new PartitionWindow(input, this.#book, {
      slots: () => this.#allowance.slots,
      changed: (event) => this.#changed(event),
      draining: () => this.#draining,
      pending: (from, to) => this.#pending(from, to),
      committed: (ordinal) => this.#announcer?.tell([ordinal, ordinal]),
    });
    if (input.announced) {
      this.#announcer = new Announcer(this.#ref, input.retry, () => this.#toldOrNot(), input.state?.untold);
    }
    this.#parent = new ParentLine(() => ({
      ...this.#allowance.report(this.#book.running, this.#wants),
      progress: this.#book.report(this.#allowance.slots),
    }));
    this.#listen();
  }

  #listen(): void {
    setHandler(tableProgress, () => this.#progress, { description: 'What this table is doing.' });
    setHandler(plan, () => [this.#planView], { description: 'How this table was cut.' });
    setHandler(grantSlots, (grant) => {
      this.#allowance.take(grant);
      this.#changed(false);
      this.#window.wake();
    });
    setHandler(retryParked, (labels) => this.#unparked(this.#book.unpark(labels, askedFirst())));
    setHandler(skipParked, (labels) => this.#unparked(this.#book.skip(labels, askedFirst())));
  }

  #unparked(count: number): void {
    if (count === 0) return;
    this.#changed(true);
    this.#window.wake();
  }

  #toldOrNot(): void {
    this.#book.warning = this.#announcer?.warning;
    this.#changed(false);
  }

  get #progress(): TableProgress {
    return this.#book.progress(this.#allowance.slots);
  }

  get #planView() {
    const { table, partitions, estimatedRows, plan: reason } = this.#progress;
    const { pages } = this.#book;
    return {
      table,
      ...(partitions !== undefined && { partitions }),
      ...(pages !== undefined && { pages }),
      ...(estimatedRows !== undefined && { estimatedRows }),
      ...(reason !== undefined && { reason }),
    };
  }

  /** Slots that the table has a use for. What is built or published is work on the destination too, and counts as one. */
  get #wants(): number {
    if (this.#ended) return 0;
    const { phase } = this.#book;
    return phase === 'copying' || phase === 'waiting for connection' || phase === 'waiting on parked'
      ? Math.max(this.#window.wants, this.#copied ? 1 : 0)
      : 1;
  }

  /** Nothing is left to copy, and building is next. */
  get #copied(): boolean {
    const { planned, running, left, parked } = this.#book;
    return planned && running === 0 && left === 0 && parked.length === 0;
  }

  get #draining(): boolean {
    const { continueAfter } = this.input;
    return continueAfter === undefined ? workflowInfo().continueAsNewSuggested : this.#book.begun >= continueAfter;
  }

  /**
   * Shows the new state; tells the parent soon when `event`, or when slots became free or are wanted. Without a parent nobody would
   * grant again what was given back.
   */
  #changed(event: boolean): void {
    setCurrentDetails(tableDetails(this.#progress));
    if (this.#parent.closed || !this.#book.planned) return;
    const slots = this.#allowance.settle(this.#book.running, this.#wants);
    if (event || slots) this.#parent.tell();
  }

  /**
   * Building is not told to the parent, where every report of every table stays in the history, unless it waits for that: it is on
   * this table's page.
   */
  #enter(phase: TableProgress['phase'], note?: string): void {
    this.#book.phase = phase;
    this.#book.note = note;
    this.#changed(phase !== 'building' || this.input.tellsRead === true);
  }

  async run(): Promise<TableProgress> {
    try {
      await this.#copyAndPublish();
      await this.#tellTheRest();
      await this.#parent.hangUp();
      return this.#progress;
    } catch (error) {
      if (error instanceof ContinueAsNew) throw error;
      await this.#endBadly(error);
      throw error;
    }
  }

  async #endBadly(error: unknown): Promise<void> {
    this.#ended = true;
    if (isCancellation(error)) this.#book.ended('cancelled', now(), this.#cancelledNote);
    else this.#book.ended('failed', now(), short(error instanceof Error ? error.message : String(error)));
    if (!isCancellation(error)) await this.#tellTheRest();
    this.#changed(true);
    await this.#parent.flush();
  }

  /** What is committed stays so, however the table ends; its slots are others' meanwhile. */
  async #tellTheRest(): Promise<void> {
    if (!this.#announcer?.pending) return;
    this.#changed(false);
    await CancellationScope.nonCancellable(() => this.#announcer!.end(TELL_THE_REST));
  }

  /** A swap that commits while it is cancelled may go through; only the ledger knows, and the job looks there when it closes the run. */
  get #cancelledNote(): string | undefined {
    return this.#publishing ? 'cancelled while it was being published: the job shows whether it was' : undefined;
  }

  async #copyAndPublish(): Promise<void> {
    await this.#prepare();
    for (let round = 0; ; round += 1) {
      await this.#copyAll();
      await this.#build();
      if ((await this.#verify()) && (await this.#publish())) return;
      if (round === MISSING_ROUNDS) throw failure('PlanChanged', this.#stillMissing());
    }
  }

  #stillMissing(): string {
    const left = counted(this.#book.left, 'partition');
    return `${left} of ${this.input.table} had no receipt at publish, again after ${MISSING_ROUNDS} more copies: the destination's ledger loses what it has committed. Nothing was published. Find out why before starting again.`;
  }

  async #prepare(): Promise<void> {
    this.#announcer?.begin();
    if (!this.#book.planned) {
      const prepared = await this.#call('prepareTable', this.#ref, 'plan and staging');
      this.#book.plan(prepared);
      // Whoever committed them may not have come to tell of it.
      if (prepared.alreadyCommitted > 0) this.#announcer?.tell([0, prepared.plan.partitions - 1]);
    }
    this.#enter('copying');
  }

  /** Until every partition is committed, in as many executions as it takes. */
  async #copyAll(): Promise<void> {
    for (;;) {
      await this.#window.copy();
      if (this.#book.left > 0 && this.#draining) await this.#continue();
      if (this.#copied) return;
      if (this.#book.parked.length > 0) await this.#waitOnParked();
      this.#enter('copying');
    }
  }

  async #continue(): Promise<never> {
    await this.#announcer?.end(TELL_ON);
    await this.#parent.flush();
    const { grant } = this.#allowance;
    const untold = this.#announcer?.untold ?? [];
    const state = { ...this.#book.state(), ...(untold.length > 0 && { untold }) };
    return continueAsNew<typeof copyTable>({ ...this.input, grant, state });
  }

  async #waitOnParked(): Promise<void> {
    const { parked, left } = this.#book;
    if (this.input.onFailure === 'fail') throw failure('PartitionsParked', this.#parkedMessage());
    const rest = left === 0 ? '' : ` ${counted(left, 'partition')} more were not begun, because so many are parked.`;
    this.#enter('waiting on parked', `${counted(parked.length, 'partition')} parked: retry, skip or cancel.${rest}`);
    await condition(() => this.#book.parked.length < parked.length);
  }

  #parkedMessage(): string {
    const { parked, left, partitions } = this.#book;
    const begun = left === 0 ? '' : ` ${left} were not begun, because maxParked was reached.`;
    const head = `${parked.length} of ${counted(partitions, 'partition')} are parked.${begun}`;
    return boundedLines([head, ...parkedLines(parked)], FAILURE_BYTES);
  }

  async #build(): Promise<void> {
    const { steps } = await this.#call('listBuildSteps', this.#ref, 'what is to be built');
    if (steps.length > 0) this.#enter('building');
    for (const { step, label } of steps) {
      this.#book.note = label;
      this.#changed(false);
      await this.#call('runBuildStep', { ...this.#ref, step, label }, label);
    }
  }

  /** Answers whether what was loaded may be published; if not, what the ledger misses is to be copied again. */
  async #verify(): Promise<boolean> {
    if (this.input.checksum === undefined) return true;
    this.#enter('verifying');
    const outcome = await this.#call('verifyTable', this.#ref, 'compare digests');
    if (outcome.outcome === 'missing') this.#missing(outcome.ordinals);
    return outcome.outcome === 'verified';
  }

  #missing(ordinals: readonly number[]): void {
    this.#book.missing(ordinals);
    this.#enter(
      'copying',
      `${counted(ordinals.length, 'partition')} had no receipt in the ledger any more; copied again`,
    );
  }

  /** Answers whether the table is published; if not, what the ledger misses is to be copied again. */
  async #publish(): Promise<boolean> {
    this.#enter('publishing');
    this.#publishing = true;
    const outcome = await this.#call('publishTable', this.#ref, 'publish');
    this.#publishing = false;
    if (outcome.outcome === 'missing') {
      this.#missing(outcome.ordinals);
      return false;
    }
    const { expected } = this.#book;
    this.#book.published(outcome, now());
    this.#ended = true;
    this.#checkSums(outcome, expected);
    setCurrentDetails(tableDetails(this.#progress));
    return true;
  }

  /** Success is arithmetic. */
  #checkSums(
    found: { committed: number; skipped: number; rows: number; quarantined?: number },
    expected: TableBook['expected'],
  ): void {
    const { table } = this.input;
    const { partitions } = this.#book;
    const wrong =
      found.committed + found.skipped !== partitions
        ? `${partitions} partitions were planned, and the ledger has ${found.committed} committed and ${found.skipped} skipped`
        : expected !== undefined && rowsText(expected) !== rowsText(found)
          ? `its attempts committed ${rowsText(expected)}, and the ledger has ${rowsText(found)}`
          : undefined;
    if (wrong === undefined) return;
    const next = 'It was published: compare it with the source before using it.';
    throw failure('CountMismatch', `The sums of ${table} do not add up: ${wrong}. ${next}`, AFTER_PUBLISH);
  }

  async #pending(from: number, to: number): Promise<readonly number[]> {
    const { ordinals } = await this.#call(
      'pendingPartitions',
      { ...this.#ref, from, to },
      `what is left from ${from + 1}`,
    );
    return ordinals;
  }

  /** An activity of this table; while its connection is away the table says so. */
  async #call<K extends keyof LonghaulActivities>(
    name: K,
    input: Parameters<LonghaulActivities[K]>[0],
    summary: string,
  ): Promise<Awaited<ReturnType<LonghaulActivities[K]>>> {
    const activity = tableActivity(name, this.input.retry, `${this.input.table}: ${summary}`) as (
      input: unknown,
    ) => Promise<Awaited<ReturnType<LonghaulActivities[K]>>>;
    const { phase, note } = this.#book;
    return steadily(() => activity(input), this.input.retry, {
      waiting: (message) => this.#enter('waiting for connection', short(message)),
      resumed: () => this.#enter(phase, note),
    });
  }
}

function rowsText({ rows, quarantined = 0 }: { rows: number; quarantined?: number }): string {
  return quarantined === 0 ? `${rows} rows` : `${rows} rows and set ${quarantined} aside`;
}

/** Tables that were asked under an earlier release let it wait until fewer are parked. */
function askedFirst(): boolean {
  return patched('asked first');
}

function now(): string {
  return new Date().toISOString();
}
