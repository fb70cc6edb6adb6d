import { ApplicationFailure, setCurrentDetails, setWorkflowOptions } from '@temporalio/workflow';
import type { PartitionDifference, PartitionsCompared, TableRef, VerifiableTable } from '../src/core/activities.js';
import { addDigests, formOf, verdictOf, type Copied, type Digested, type Verdict } from '../src/core/digest.js';
import { short } from './failures.js';
import { JOB_CONNECTION_WAIT, verifyActivity } from './proxies.js';
import { steadily } from './steady.js';

export interface VerifyJobInput {
  readonly run: string;
  readonly destination: string;
  /** Absent: all of the run. */
  readonly tables?: readonly string[];
  /** Parts compared at the same time, each with a session on both sides. */
  readonly parallelism: number;
  /** Rows of each differing partition whose keys are kept in the ledger, at most. */
  readonly keys: number;
}

export interface TableVerification {
  readonly table: string;
  readonly to: string;
  /** `failed`: it could not be compared; `note` says why. */
  readonly verdict: Verdict | 'not published' | 'failed';
  readonly partitions: number;
  /** As counted by the statements that digested them. */
  readonly rows?: { readonly source: number; readonly copied: number; readonly target: number };
  /** At most 20 of a table, and 200 of all tables. */
  readonly differing: readonly PartitionDifference[];
  /** Beyond those in `differing`. */
  readonly more: number;
  /** Partitions that were skipped when it was copied: neither compared nor in `rows`. Absent: none. */
  readonly skipped?: number;
  readonly note?: string;
}

/** The result of `verifyJob`. */
export interface VerifyReport {
  readonly run: string;
  readonly destination: string;
  /** Every table was compared and is equal, partitions apart that were skipped. */
  readonly equal: boolean;
  readonly tables: readonly TableVerification[];
  /** Where keys of rows that differ are kept at the destination: a table as SQL names it. Absent: it has no such name. */
  readonly differences?: string;
}

/** Activities of all tables together: far from the limits of a workflow's history. */
const MOST_PARTS = 2_000;
/** Differing partitions told of all tables, so that the result stays small. */
const MOST_TOLD = 200;
const TOLD_OF_TABLE = 20;

/**
 * Compares what a run has copied with source and target as they are now, by digests of partitions, and says which side changed since.
 * Reads only, but for the keys of some rows that differ, which it keeps in the ledger.
 */
export async function verifyJob(input: VerifyJobInput): Promise<VerifyReport> {
  const { run, destination, tables } = input;
  const request = { run, destination, ...(tables && { tables }) };
  const listed = await steadily(
    () => verifyActivity('listVerifiable', 'tables of the run')(request),
    JOB_CONNECTION_WAIT,
  );
  const books = listed.tables.map((table) => new TableParts(input, table));
  const total = listed.tables.reduce((sum, { partitions }) => sum + partitions, 0);
  const work = books.flatMap((book) => book.parts(Math.max(1, Math.ceil(total / MOST_PARTS))));
  await inTurns(work, input.parallelism);
  return { ...report(input, books), ...(listed.differences !== undefined && { differences: listed.differences }) };
}

// A bug that throws a plain error ends the workflow with it, instead of blocking its task for ever.
setWorkflowOptions({ failureExceptionTypes: [Error] }, verifyJob);

type Work = () => Promise<void>;

/** At most `parallelism` at a time. */
async function inTurns(work: readonly Work[], parallelism: number): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < work.length) {
      const part = work[next++]!;
      await part();
      setCurrentDetails(`**verifying** · ${next} of ${work.length} parts begun`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelism, work.length) }, one));
}

/** One table, and what of it was compared. */
class TableParts {
  readonly #compared: PartitionsCompared[] = [];
  #whole: Digested | undefined;
  #failure: string | undefined;

  constructor(
    private readonly input: VerifyJobInput,
    private readonly table: VerifiableTable,
  ) {}

  parts(size: number): Work[] {
    const { state, partitions, undivided } = this.table;
    if (state !== 'published') return [];
    const count = Math.ceil(partitions / size);
    const ranges = Array.from({ length: count }, (_, index) => [
      index * size,
      Math.min((index + 1) * size, partitions),
    ]);
    const compare = ranges.map(
      ([from, to]) =>
        () =>
          this.#unlessFailed(() => this.#compare(from!, to!)),
    );
    return undivided === undefined ? compare : [...compare, () => this.#unlessFailed(() => this.#digestTarget())];
  }

  async #unlessFailed(work: Work): Promise<void> {
    if (this.#failure !== undefined) return;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      this.#failure ??= short(error.message);
    }
  }

  async #compare(from: number, to: number): Promise<void> {
    const { partitions, undivided } = this.table;
    const summary = `${this.table.table} ${from + 1}–${to} of ${partitions}`;
    const request = { ...this.#ref, from, to, divided: undivided === undefined, keys: this.input.keys };
    this.#compared.push(
      await steadily(() => verifyActivity('comparePartitions', summary)(request), JOB_CONNECTION_WAIT),
    );
  }

  async #digestTarget(): Promise<void> {
    const summary = `${this.table.table}: the target`;
    this.#whole = await steadily(() => verifyActivity('digestTarget', summary)(this.#ref), JOB_CONNECTION_WAIT);
  }

  get #ref(): TableRef {
    const { run, destination } = this.input;
    const { table, source, servers } = this.table;
    return { run, table, source, destination, ...(servers && { servers }) };
  }

  get result(): TableVerification {
    const { table, to, state, partitions, undivided } = this.table;
    const head = { table, to, partitions, differing: [], more: 0 };
    if (state !== 'published') return { ...head, verdict: 'not published', note: `it is ${state}` };
    if (partitions === 0) return { ...head, verdict: 'failed', note: 'the ledger has no plan of it' };
    if (this.#failure !== undefined) return { ...head, verdict: 'failed', note: this.#failure };
    const { source, copied, target } = this.#sums();
    const differing = this.#compared.flatMap((part) => part.differing).sort((a, b) => a.ordinal - b.ordinal);
    const more = this.#compared.reduce((sum, part) => sum + part.more, 0);
    const skipped = this.#compared.reduce((sum, part) => sum + (part.skipped ?? 0), 0);
    const note = undivided && `the target was compared as a whole, since ${undivided}`;
    return {
      ...{ ...head, verdict: this.#verdict(source, copied, target, differing) },
      rows: { source: source.rows, copied: copied.rows, target: target.rows },
      ...{ differing: differing.slice(0, TOLD_OF_TABLE), more: more + Math.max(0, differing.length - TOLD_OF_TABLE) },
      ...(skipped > 0 && { skipped }),
      ...(note !== undefined && { note }),
    };
  }

  #sums(): { source: Digested; copied: Copied; target: Digested } {
    const parts = this.#compared;
    const copied = parts.flatMap((part) => (part.copied.digest === undefined ? [] : [part.copied as Digested]));
    const rows = parts.reduce((sum, part) => sum + part.copied.rows, 0);
    return {
      source: added(parts.map((part) => part.source)),
      copied: copied.length === parts.length ? added(copied) : { rows },
      target: this.#whole ?? added(parts.flatMap((part) => part.target ?? [])),
    };
  }

  /** Partitions that differ may add up to the same when rows moved from one to another: then all is there. */
  #verdict(source: Digested, copied: Copied, target: Digested, differing: readonly PartitionDifference[]): Verdict {
    const shared = this.table.mode === 'append';
    const verdict = verdictOf(source, copied, target, shared);
    const divided = this.table.undivided === undefined;
    if (!divided || verdict === 'equal') return verdict;
    const kinds = [...new Set(differing.map((each) => each.verdict))];
    return kinds.length === 1 ? kinds[0]! : verdict;
  }
}

function added(parts: readonly Digested[]): Digested {
  const [first] = parts;
  if (first === undefined) return { rows: 0, digest: ':0' };
  const digests = parts.map(({ digest }) => digest);
  return { rows: parts.reduce((sum, { rows }) => sum + rows, 0), digest: addDigests(formOf(first.digest), digests) };
}

function report({ run, destination }: VerifyJobInput, books: readonly TableParts[]): VerifyReport {
  let told = 0;
  const tables = books.map(({ result }) => {
    const differing = result.differing.slice(0, MOST_TOLD - told);
    told += differing.length;
    return { ...result, differing, more: result.more + result.differing.length - differing.length };
  });
  return { run, destination, equal: tables.every(({ verdict }) => verdict === 'equal'), tables };
}
