import {
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from '@temporalio/workflow';
import type { ClosedRun, OpenedRun, OpenedTable, TableRef } from '../src/core/activities.js';
import { boundedLines, textOf } from '../src/core/text.js';
import { jobDetails } from './details.js';
import { failure, mayBeOpen, short } from './failures.js';
import { FAILURE_BYTES, failedMessage, lostAgain, lostMessage, sumsMessage, tooOldMessage } from './job-messages.js';
import { JobSnapshot, type Loss } from './job-snapshot.js';
import { JobTables } from './job-tables.js';
import { LOST_ROUNDS, lostTables } from './lost-tables.js';
import {
  discard,
  jobProgress,
  plan,
  retry,
  setParallelism,
  skip,
  tableReport,
  type CopyJobInput,
  type JobPhase,
  type JobProgress,
  type JobReport,
  type PlanView,
  type RetryRequest,
  type SkipRequest,
  type TableProgress,
} from './messages.js';
import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { checkParallelism, retryTargets, skipTargets } from './requests.js';
import { steadily } from './steady.js';

/** Bytes more for the lines that say what is visible of it. */
const VISIBLE_BYTES = 2_000;

/**
 * Copies all tables of a job. The input is the job file as JSON. Ends well only when every table is published; otherwise the
 * run is suspended in the ledger, so that `resume` can take it over. Never continues as new: that would end its children.
 */
export async function copyJob(input: CopyJobInput): Promise<JobReport> {
  return new JobRun(input).run();
}

// A bug that throws a plain error ends the job with it, instead of blocking its workflow task for ever.
setWorkflowOptions({ failureExceptionTypes: [Error] }, copyJob);

class JobRun {
  readonly #runId: string;
  readonly #startedAt = workflowInfo().startTime.toISOString();
  #opened: OpenedRun | undefined;
  #tables: JobTables | undefined;
  #snapshot: JobSnapshot | undefined;
  #ended: { phase: JobPhase; at: string } | undefined;
  #dirty = false;
  #suspended = false;
  /** The job's work, which `discard` ends. */
  readonly #work = new CancellationScope();
  #discard = false;
  /** Of tables with `publish: partition` that did not publish, told by the ledger at a bad end. */
  #visible: ClosedRun['visible'] = [];

  constructor(private readonly input: CopyJobInput) {
    // Not `runId`: a reset changes it, and what was committed under the old one would be copied again.
    this.#runId = textOf(input, 'resume') ?? workflowInfo().firstExecutionRunId;
    this.#listen();
  }

  #listen(): void {
    setHandler(jobProgress, () => this.#progress, { description: 'What the job and its tables are doing.' });
    setHandler(plan, () => this.#plans, { description: 'How each table was cut.' });
    setHandler(
      discard,
      () => {
        this.#discard = true;
        this.#work.cancel();
      },
      { description: 'Gives the job up: ends it and removes what it has not published.' },
    );
    setHandler(tableReport, (report) => this.#tables?.report(report));
    setHandler(
      setParallelism,
      (parallelism) => {
        this.#running.setParallelism(parallelism);
        return { parallelism };
      },
      {
        validator: (parallelism) => {
          checkParallelism(parallelism);
          this.#mustCopy();
        },
        description: 'Changes the job-wide parallelism: a whole number from 1 to 1000.',
      },
    );
    setHandler(
      retry,
      (request: RetryRequest | undefined) => {
        const targets = retryTargets(request, this.#running.progress);
        for (const { table, labels } of targets) this.#running.retry(table, labels);
        return { retried: targets.reduce((sum, { count }) => sum + count, 0) };
      },
      {
        validator: (request: RetryRequest | undefined) => {
          retryTargets(request, this.#running.progress);
        },
        description: 'Tries parked partitions again: {"partitions": ["table", "table/17"]}, or {} for all.',
      },
    );
    setHandler(
      skip,
      (request: SkipRequest | undefined) => {
        const targets = skipTargets(request, this.#running.progress);
        for (const { table, labels } of targets) this.#running.skip(table, labels);
        return { skipped: targets.reduce((sum, { labels }) => sum + labels.length, 0) };
      },
      {
        validator: (request: SkipRequest | undefined) => {
          skipTargets(request, this.#running.progress);
        },
        description: 'Goes on without parked partitions, whose rows will be missing: {"partitions": ["table/17"]}.',
      },
    );
  }

  get #running(): JobTables {
    this.#mustCopy();
    return this.#tables!;
  }

  #mustCopy(): void {
    if (this.#tables === undefined || this.#ended) throw failure('RequestRefused', 'The job is not copying now.');
  }

  get #phase(): JobPhase {
    if (this.#ended) return this.#ended.phase;
    if (this.#tables === undefined) return 'checking';
    const open = this.#tables.progress.filter(({ phase }) => !ENDED.has(phase));
    const waits = open.length > 0 && open.every(({ phase }) => phase === 'waiting on parked');
    return waits ? 'waiting on parked' : 'copying';
  }

  get #progress(): JobProgress {
    return {
      run: this.#runId,
      name: this.#opened?.name ?? textOf(this.input, 'name') ?? workflowInfo().workflowId,
      phase: this.#phase,
      parallelism: this.#tables?.parallelism ?? 0,
      tables: (this.#tables?.progress ?? []).map((table) => this.#seen(table)),
      warnings: (this.#opened?.warnings ?? []).map(({ path, message }) => (path ? `${path}: ${message}` : message)),
      ...(this.#snapshot && { snapshot: this.#snapshot.progress }),
      startedAt: this.#startedAt,
      ...(this.#ended && { endedAt: this.#ended.at }),
      ...(this.#discard && { discarded: true }),
    };
  }

  #seen<T extends TableProgress>(table: T): T {
    const visible = this.#visible.find((each) => each.table === table.table)?.text;
    return visible === undefined ? table : { ...table, visible };
  }

  get #plans(): PlanView[] {
    return (this.#tables?.progress ?? []).map(({ table, partitions, estimatedRows, plan: reason }) => ({
      table,
      ...(partitions !== undefined && { partitions }),
      ...(estimatedRows !== undefined && { estimatedRows }),
      ...(reason !== undefined && { reason }),
    }));
  }

  #show(): void {
    setCurrentDetails(jobDetails(this.#progress));
  }

  #end(phase: JobPhase): void {
    this.#ended = { phase, at: new Date().toISOString() };
    this.#show();
  }

  async run(): Promise<JobReport> {
    try {
      refuseCron();
      return await this.#work.run(() => this.#openAndCopy());
    } catch (error) {
      await CancellationScope.nonCancellable(() => this.#endBadly(error));
      throw this.#withVisible(error);
    }
  }

  async #openAndCopy(): Promise<JobReport> {
    this.#opened = await this.#open();
    this.#tables = new JobTables(workflowInfo().workflowId, this.#opened, () => (this.#dirty = true));
    const published = this.#opened.tables.filter((table) => table.published);
    await this.#publishedBefore(this.#opened, published, this.#tables);
    await this.#copyAll(this.#tables);
    if (this.#tables.failures.length > 0) await CancellationScope.nonCancellable(() => this.#suspend());
    return this.#report(this.#tables);
  }

  /** Who reads why the job failed has to know what of it is in the targets all the same. */
  #withVisible(error: unknown): unknown {
    if (this.#visible.length === 0 || !(error instanceof ApplicationFailure)) return error;
    const lines = this.#visible.map(({ table, text }) => `${table}: ${text}`);
    const message = boundedLines([...error.message.split('\n'), ...lines], FAILURE_BYTES + VISIBLE_BYTES);
    return failure(error.type ?? 'JobFailed', message);
  }

  async #open(): Promise<OpenedRun> {
    const { workflowId } = workflowInfo();
    const request = { job: this.input, run: this.#runId, workflowId };
    return steadily(() => jobActivity('openRun', 'check the job, open its run')(request), JOB_CONNECTION_WAIT, {
      waiting: (message) => setCurrentDetails(`**checking** · waiting for connection: ${short(message)}`),
    });
  }

  /** A run that is resumed or starts over may have published tables already; the ledger still knows their sums. */
  async #publishedBefore(opened: OpenedRun, tables: readonly OpenedTable[], rows: JobTables): Promise<void> {
    const { run, source, destination, servers } = opened;
    for (const { table } of tables) {
      const ref = { run, table, source, destination, ...(servers && { servers }) };
      const sums = await this.#sumsOf(ref, 'sums of what was published before');
      rows.published(table, sums, 'published before this run was resumed');
    }
  }

  /** Of a table that is published: publishing it again changes nothing and adds up its receipts. */
  async #sumsOf(ref: TableRef, summary: string): Promise<Partial<TableProgress>> {
    const { table } = ref;
    const sum = jobActivity('publishTable', `${table}: ${summary}`, this.#opened?.retry);
    const outcome = await steadily(() => sum(ref), JOB_CONNECTION_WAIT);
    if (outcome.outcome === 'missing')
      throw failure('PlanChanged', `${table} is published, and the ledger lacks receipts of it.`);
    const { outcome: _published, ...sums } = outcome;
    return { ...sums, partitions: sums.committed + sums.skipped };
  }

  /** Without a snapshot, once; with one, again under the next as long as it is lost before everything is published. */
  async #copyAll(tables: JobTables): Promise<void> {
    const opened = this.#opened!;
    if (opened.snapshot === undefined || tables.done) return this.#copy(tables);
    const snapshot = new JobSnapshot(opened, { changed: () => this.#changed(), reading: () => tables.reading });
    this.#snapshot = snapshot;
    while (tables.queued) {
      const loss = (await snapshot.hold()) ?? (await this.#copyUnder(snapshot, tables));
      if (snapshot.expired) throw failure(snapshot.expired.code, tooOldMessage(snapshot.expired.message, this.#runId));
      await snapshot.release();
      if (loss === undefined) return;
      if (opened.snapshot.onLost === 'fail') throw failure(loss.code, lostMessage(loss.message, this.#runId));
      await tables.startOver();
      const published = await snapshot.startOver(loss);
      const ended = opened.tables.filter(({ table }) => published.includes(table) && tables.isQueued(table));
      await this.#publishedBefore(opened, ended, tables);
    }
  }

  /** Answers with why the snapshot is of no use any more, if tables are left that need it. */
  async #copyUnder(snapshot: JobSnapshot, tables: JobTables): Promise<Loss | undefined> {
    const lost = () => snapshot.expired ?? tables.loss ?? (tables.queued ? snapshot.loss : undefined);
    await this.#copy(tables, lost);
    return lost();
  }

  #changed(): void {
    this.#dirty = true;
    this.#show();
  }

  /** Until every table has ended, and what was published is so still, or `stop` says why not. */
  async #copy(tables: JobTables, stop: () => unknown = () => undefined): Promise<void> {
    for (let rounds = 0; ; rounds++) {
      await this.#copyQueued(tables, stop);
      if (stop() !== undefined) return;
      const lost = await lostTables(this.#opened!, tables.progress);
      if (lost.length === 0) return;
      if (rounds === LOST_ROUNDS) throw failure('JobFailed', lostAgain(lost, this.#runId));
      tables.again(lost);
    }
  }

  /** Until no table runs or waits. A table that fails doesn't stop the others. */
  async #copyQueued(tables: JobTables, stop: () => unknown): Promise<void> {
    while (!tables.done && stop() === undefined) {
      this.#dirty = false;
      tables.deal();
      this.#show();
      await condition(() => this.#dirty);
      tables.throwBug();
    }
  }

  #report(tables: JobTables): JobReport {
    const progress = tables.progress;
    if (tables.failures.length > 0) throw failure('JobFailed', this.#failedMessage(tables));
    const wrong = progress.filter((table) => table.phase !== 'published' || !addsUp(table));
    if (wrong.length > 0) throw failure('CountMismatch', sumsMessage(wrong.map(({ table }) => table)));
    this.#end(howComplete(progress));
    const rows = progress.reduce((sum, table) => sum + table.rows, 0);
    const bytes = progress.reduce((sum, table) => sum + table.bytes, 0);
    const quarantined = progress.reduce((sum, table) => sum + (table.quarantined ?? 0), 0);
    return { ...this.#progress, rows, ...(quarantined > 0 && { quarantined }), bytes };
  }

  #failedMessage({ failures, progress }: JobTables): string {
    const failed = new Set(failures.map(({ table }) => table));
    const partly = this.#opened!.tables.some(({ table, publish }) => publish === 'partition' && failed.has(table));
    return failedMessage(failures, { tables: progress.length, run: this.#runId, partly });
  }

  async #endBadly(error: unknown): Promise<void> {
    // After a bug nobody would deal slots or hear of tables that wait: they would never end by themselves.
    this.#tables?.cancel();
    await this.#tables?.ended();
    await this.#snapshot?.release();
    if ((this.#opened !== undefined || mayBeOpen(error)) && !this.#suspended) await this.#suspend();
    this.#end(isCancellation(error) ? 'cancelled' : 'failed');
  }

  /** Nothing of the run commits any more, and its staging is kept, or removed on a person's word. That this fails too must not hide why the job ended. */
  async #suspend(): Promise<void> {
    this.#suspended = true;
    const destination = this.#opened?.destination ?? textOf(this.input, 'destination');
    if (destination === undefined) return;
    try {
      if (!this.#discard) await this.#close(destination, 'suspended');
      // Asked for before, or while the run was being suspended.
      if (this.#discard) await this.#close(destination, 'discarded');
    } catch (error) {
      log.warn('The run could not be closed in the ledger: its targets stay leased until it is resumed or cleaned.', {
        run: this.#runId,
        reason: short(String(error)),
      });
    }
  }

  /** Histories of version 0.1 have no answer here. */
  async #close(destination: string, state: 'suspended' | 'discarded'): Promise<void> {
    const servers = this.#opened?.servers;
    const request = { run: this.#runId, destination, state, ...(servers && { servers }) };
    const summary = state === 'discarded' ? 'discard the run' : 'suspend the run';
    const close = (): Promise<ClosedRun | undefined> => jobActivity('closeRun', summary, this.#opened?.retry)(request);
    const {
      visible = [],
      published = [],
      left = [],
    }: Partial<ClosedRun> = (await steadily(close, JOB_CONNECTION_WAIT)) ?? {};
    this.#visible = visible;
    if (left.length > 0) log.warn('Staging is not removed yet: a later run tries again.', { run: this.#runId, left });
    await this.#publishedAfterAll(published);
  }

  /**
   * A table that was cancelled, or that failed, while its swap committed may be published all the same. Its child can't know; the
   * closed run can.
   */
  async #publishedAfterAll(published: readonly string[]): Promise<void> {
    const [opened, tables] = [this.#opened, this.#tables];
    if (opened === undefined || tables === undefined) return;
    const found = new Set(published);
    for (const table of tables.untold.filter((each) => found.has(each))) {
      const { run, source, destination, servers } = opened;
      const ref = { run, table, source, destination, ...(servers && { servers }) };
      const sums = await this.#sumsOf(ref, 'sums of what was published');
      tables.published(table, sums, PUBLISHED_AFTER_ALL);
    }
  }
}

const PUBLISHED_AFTER_ALL = 'published: the answer was lost when it ended, and the ledger has it';

const ENDED: ReadonlySet<string> = new Set(['published', 'failed', 'cancelled']);

function refuseCron(): void {
  if (!workflowInfo().cronSchedule) return;
  throw failure(
    'JobInvalid',
    'A copyJob with a cron schedule is refused; nothing was touched. All executions of such a workflow are one run: the second night would find everything committed and copy nothing. Use a Temporal Schedule: temporal schedule create --type copyJob …',
  );
}

function howComplete(tables: readonly TableProgress[]): 'complete' | 'complete with rejects' | 'complete with skips' {
  if (tables.some(({ skipped }) => skipped > 0)) return 'complete with skips';
  return tables.some(({ quarantined = 0 }) => quarantined > 0) ? 'complete with rejects' : 'complete';
}

function addsUp({ committed, skipped, partitions }: TableProgress): boolean {
  return partitions === committed + skipped;
}
