import { expect } from 'vitest';
import type { LonghaulError } from '../../src/core/errors.js';
import type { Partition, Receipt, TableRecord, TableSpec } from '../../src/core/model.js';
import type {
  Connector,
  DestinationSession,
  Log,
  Meter,
  NewTableRecord,
  OpenOptions,
  PartitionWriter,
  RowBatch,
  SourceSession,
  SourceStream,
} from '../../src/connectors/types.js';

/** Two systems with a table in the source, as the contract's tests need them. One a test file; its tests use tables of their own. */
export interface Fixture extends AsyncDisposable {
  readonly source: Connector;
  readonly destination: Connector;
  /** Makes the source's table `from` with a key `id` of 0 … rows - 1, and nothing at the destination. */
  createSource(from: string, rows: number): Promise<void>;
  /** Makes an empty table of that shape at the destination. */
  createTarget(to: string): Promise<void>;
  /** The ids that any reader finds in a table of the destination, in order; undefined when there is no such table. */
  visible(to: string): Promise<number[] | undefined>;
  /** Rows that a run has set aside at the destination, by partition and in order. */
  rejects(run: string): Promise<readonly { partition: number; file: string | null; line: number; raw: string }[]>;
  /** A predicate in the source's language for ids from `from` and below `to`. */
  range(from: number, to: number): string;
  /** Sessions with this label that the destination still has. */
  sessions(label: string): Promise<number>;
}

export const ROWS = 1_000;
/** What the tests read is cut into four. */
export const PARTITIONS = 4;

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** An error of this code. */
export const code = (expected: LonghaulError['code']): unknown => expect.objectContaining({ code: expected });

export const newMeter = (): Meter => ({ rows: 0, bytes: 0, phase: '' });

/** One table of one run, and what the tests do with it. Sessions are ended with it. */
export class Scene implements AsyncDisposable {
  readonly #sessions: AsyncDisposable[] = [];

  constructor(
    readonly fixture: Fixture,
    readonly run: string,
    readonly spec: TableSpec,
  ) {}

  async destination(options: { signal?: AbortSignal; label?: string } = {}): Promise<DestinationSession> {
    const session = await this.fixture.destination.openDestination({
      signal: options.signal ?? new AbortController().signal,
      label: options.label ?? 'contract',
      log,
    });
    this.#sessions.push(session);
    return session;
  }

  async source(): Promise<SourceSession> {
    const session = await this.fixture.source.openSource({
      signal: new AbortController().signal,
      label: 'contract',
      log,
    });
    this.#sessions.push(session);
    return session;
  }

  /** The record as checkJob makes it. */
  async checked(spec = this.spec): Promise<NewTableRecord> {
    const [source, destination] = [await this.source(), await this.destination()];
    const { table, findings } = await source.describe(spec);
    if (!table) throw new Error(`the source can't be described: ${JSON.stringify(findings)}`);
    const { format, fingerprint, findings: met, shape = table.shape } = await destination.check(spec, table);
    const problems = met.filter(({ severity }) => severity === 'problem');
    if (!format || problems.length > 0) throw new Error(`the check found ${JSON.stringify(problems)}`);
    const columns = table.inferred ? shape.columns.map(({ name }) => name) : table.columns;
    const parts = { specification: JSON.stringify(spec), target: fingerprint };
    return { spec, source: this.fixture.source.name, shape, columns, format, fingerprint: parts };
  }

  async open(session: DestinationSession, resume = false): Promise<TableRecord> {
    return this.openAs(session, undefined, { resume });
  }

  /** As a run of a job of this name. */
  async openAs(session: DestinationSession, name: string | undefined, options: OpenOptions = {}): Promise<TableRecord> {
    const run = { run: this.run, job: 'contract', ...(name !== undefined && { name }) };
    const [record] = await session.ledger.openRun(run, [await this.checked()], options);
    return record!;
  }

  /** Opened, staged and planned. */
  async begun(session: DestinationSession): Promise<TableRecord> {
    const record = await this.open(session);
    await session.prepare(record);
    await session.ledger.putPlan(record, { partitions: this.partitions(), reason: 'four ranges' });
    return record;
  }

  /** As `begun`, with the record as it is once the target that is loaded itself was made. */
  async begunInto(session: DestinationSession): Promise<TableRecord> {
    await this.begun(session);
    return session.ledger.table(this.run, this.spec.table);
  }

  partitions(): Partition[] {
    return Array.from({ length: PARTITIONS }, (_, ordinal) => this.partition(ordinal));
  }

  partition(ordinal: number): Partition {
    const size = ROWS / PARTITIONS;
    const predicate = this.fixture.range(ordinal * size, (ordinal + 1) * size);
    return { ordinal, label: `${ordinal + 1}/${PARTITIONS}`, relation: this.spec.from!, predicate };
  }

  /** Rows as they are now, also of a table that is to be read under a snapshot: what the ledger does with it doesn't depend on that. */
  async stream({ snapshot: _, ...record }: TableRecord, partition: Partition): Promise<SourceStream> {
    const source = await this.source();
    return source.stream(record, partition);
  }

  /** Loads a partition and leaves it to be committed; answers with the rows read. */
  async load(writer: PartitionWriter, record: TableRecord, partition: Partition): Promise<number> {
    const stream = await this.stream(record, partition);
    await writer.load(stream, newMeter());
    return stream.rows;
  }

  async copy(session: DestinationSession, record: TableRecord, ordinal: number): Promise<Receipt> {
    const partition = this.partition(ordinal);
    const begun = await session.begin(record, partition, 1);
    if (isReceipt(begun)) return begun;
    await using writer = begun;
    return await writer.commit(await this.load(writer, record, partition));
  }

  async copyAll(session: DestinationSession, record: TableRecord): Promise<void> {
    for (const { ordinal } of this.partitions()) await this.copy(session, record, ordinal);
  }

  async buildAll(session: DestinationSession, record: TableRecord): Promise<void> {
    for (const step of await session.buildSteps(record)) await session.build(record, step, newMeter());
  }

  visible(): Promise<number[] | undefined> {
    return this.fixture.visible(this.spec.to);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions.reverse()) await session[Symbol.asyncDispose]();
  }
}

export function isReceipt(begun: PartitionWriter | Receipt): begun is Receipt {
  return 'predicateHash' in begun;
}

export async function writerOf(begun: Promise<PartitionWriter | Receipt>): Promise<PartitionWriter> {
  const result = await begun;
  if (isReceipt(result)) throw new Error('the partition is committed already');
  return result;
}

/** A stream that gives its first piece and then nothing any more; `onStall` is called then. */
export function stalling(stream: SourceStream, onStall: () => void): SourceStream {
  const stall = async function* <T>(pieces: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const piece of pieces) {
      yield piece;
      onStall();
      await new Promise(() => undefined);
    }
  };
  const rows = new Promise<number>(() => undefined);
  return stream.kind === 'rows'
    ? { ...stream, rows, [Symbol.asyncIterator]: () => stall<RowBatch>(stream) }
    : { kind: 'bytes', format: stream.format, rows, [Symbol.asyncIterator]: () => stall<Uint8Array>(stream) };
}

/** All ids that the source has, in order. */
export const ALL_IDS = Array.from({ length: ROWS }, (_, id) => id);
