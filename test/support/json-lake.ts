import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../src/core/errors.js';
import type { Partition, Receipt, ReceiptTotals, TableRecord, TableSpec } from '../../src/core/model.js';
import { predicateHash } from '../../src/connectors/hash.js';
import { encodeName, LakeLedger, RunCache, type Targets } from '../../src/connectors/lake/ledger/index.js';
import { NumberedLog } from '../../src/connectors/lake/ledger/numbered-log.js';
import type { DataFile } from '../../src/connectors/lake/model.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import type {
  Connector,
  DestinationSession,
  Meter,
  PartitionWriter,
  RowBatch,
  SessionOptions,
  SourceStream,
  SourceTable,
  StagingTable,
  TargetCheck,
} from '../../src/connectors/types.js';

export const JSON_LAKE_CAPABILITIES = {
  formats: ['rows'],
  source: false,
  destination: true,
  publishes: ['table'],
  rejects: false,
  attempts: 'raced',
} as const;

/** What a table of the lake shows is what its log adds up to: as a Delta table, and in the least code. */
type TargetEntry = { readonly by: string } & (
  | {
      readonly kind: 'commit';
      readonly app: string;
      readonly epoch: number;
      readonly mode: 'replace' | 'append';
      readonly files: readonly string[];
    }
  | { readonly kind: 'closed'; readonly app: string; readonly epoch: number }
);

const folderOf = (to: string): string => encodeName(to);
const runFolderOf = (to: string, run: string): string => `${folderOf(to)}/_longhaul/${encodeName(run)}`;
const appOf = ({ run, spec }: TableRecord): string => JSON.stringify([run, spec.table]);

/** Tables whose rows are ids in JSON files, in any store. */
export class JsonLake {
  readonly cache = new RunCache();

  constructor(readonly open: (signal: AbortSignal) => ObjectStore) {}

  /** A ledger of its own, as a session has it. */
  ledger(store: ObjectStore, patience?: number, cache = this.cache): LakeLedger {
    return new LakeLedger({
      ...{ name: 'lake', store, cache, targets: new JsonTargets(store) },
      ...(patience !== undefined && { patience }),
      stagingName: ({ to }, run, snapshot = 0) => `${runFolderOf(to, run)}/${snapshot}`,
      stagingOf: (record, sizes) => stagingOf(store, record, sizes),
    });
  }

  async create(to: string): Promise<void> {
    const targets = new JsonTargets(this.open(new AbortController().signal));
    await targets.commit(to, { kind: 'commit', app: `created ${randomUUID()}`, epoch: 0, mode: 'replace', files: [] });
  }

  async visible(to: string): Promise<number[] | undefined> {
    const store = this.open(new AbortController().signal);
    const files = await new JsonTargets(store).files(to);
    if (!files) return undefined;
    const idsOf = async (path: string) => JSON.parse(Buffer.from((await store.get(path))!).toString()) as number[];
    return (await Promise.all(files.map(idsOf))).flat().sort((a, b) => a - b);
  }
}

export class JsonTargets implements Targets {
  constructor(private readonly store: ObjectStore) {}

  async settle(record: TableRecord, epoch: number): Promise<'published' | 'closed'> {
    const app = appOf(record);
    for (;;) {
      const entries = await this.#entries(record.spec.to);
      if (entries.some((entry) => entry.kind === 'commit' && entry.app === app)) return 'published';
      if (isClosed(entries, app, epoch)) return 'closed';
      await this.#append(record.spec.to, entries.length, { kind: 'closed', app, epoch });
    }
  }

  /** Throws RunClosed when the epoch was closed meanwhile. */
  async commit(to: string, commit: Unsigned & { kind: 'commit' }): Promise<void> {
    for (;;) {
      const entries = await this.#entries(to);
      if (entries.some((entry) => entry.kind === 'commit' && entry.app === commit.app)) return;
      if (isClosed(entries, commit.app, commit.epoch))
        throw new LonghaulError('RunClosed', 'The table was taken from its publisher.');
      if (await this.#append(to, entries.length, commit)) return;
    }
  }

  async files(to: string): Promise<readonly string[] | undefined> {
    let files: readonly string[] | undefined;
    for (const entry of await this.#entries(to)) {
      if (entry.kind !== 'commit') continue;
      files = entry.mode === 'append' ? [...(files ?? []), ...entry.files] : entry.files;
    }
    return files;
  }

  /** Apps that have committed, as often as they have. */
  async apps(to: string): Promise<string[]> {
    return (await this.#entries(to)).flatMap((entry) => (entry.kind === 'commit' ? [entry.app] : []));
  }

  #append(to: string, number: number, entry: Unsigned): Promise<boolean> {
    return this.#log(to).append(number, { by: randomUUID(), ...entry });
  }

  async #entries(to: string): Promise<TargetEntry[]> {
    const log = this.#log(to);
    return log.read(0, (await log.last()) + 1);
  }

  #log(to: string): NumberedLog<TargetEntry> {
    return new NumberedLog(this.store, `${folderOf(to)}/_log`);
  }
}

type Unsigned = TargetEntry extends infer Each ? (Each extends TargetEntry ? Omit<Each, 'by'> : never) : never;

function isClosed(entries: readonly TargetEntry[], app: string, epoch: number): boolean {
  return entries.some((entry) => entry.kind === 'closed' && entry.app === app && entry.epoch >= epoch);
}

async function stagingOf(
  store: ObjectStore,
  { run, spec, staging }: TableRecord,
  sizes: boolean,
): Promise<StagingTable | undefined> {
  let [files, bytes] = [0, 0];
  for await (const page of store.list(`${runFolderOf(spec.to, run)}/`)) {
    for (const { size } of page) [files, bytes] = [files + 1, bytes + size];
  }
  return files === 0 ? undefined : { name: staging, ...(sizes && { bytes }) };
}

export function jsonLakeConnector(name: string, lake: JsonLake): Connector {
  return {
    ...{ name, type: 'json lake', capabilities: JSON_LAKE_CAPABILITIES },
    openSource: () => Promise.reject(new Error('not a source')),
    openDestination: (options) => Promise.resolve(new JsonLakeSession(lake, options)),
  };
}

export class JsonLakeSession implements DestinationSession {
  readonly ledger: LakeLedger;
  readonly #store: ObjectStore;
  readonly #targets: JsonTargets;

  constructor(
    lake: JsonLake,
    private readonly options: Pick<SessionOptions, 'signal'>,
  ) {
    this.#store = lake.open(options.signal);
    this.#targets = new JsonTargets(this.#store);
    this.ledger = lake.ledger(this.#store);
  }

  identity(): Promise<string> {
    return Promise.resolve(this.#store.url);
  }

  checkServer(): Promise<[]> {
    return Promise.resolve([]);
  }

  async check({ to }: TableSpec, source: SourceTable): Promise<TargetCheck> {
    const fingerprint = (await this.#targets.files(to)) ? 'there' : 'absent';
    const format = source.formats.find((offered) => offered === 'rows');
    return { fingerprint, findings: [], ...(format && { format }) };
  }

  async prepare(record: TableRecord): Promise<void> {
    const { state, snapshot } = await this.ledger.table(record.run, record.spec.table);
    if (state === 'published' || state === 'publishing') return;
    if (state === 'open' && snapshot === record.snapshot) return;
    throw new LonghaulError('RunClosed', `Table ${record.spec.table} is ${state}: nothing is loaded.`);
  }

  async begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt> {
    const stored = await this.ledger.claim(record, partition);
    return stored ?? new JsonWriter(this.ledger, this.#store, this.options.signal, { record, partition, attempt });
  }

  buildSteps(): Promise<[]> {
    return Promise.resolve([]);
  }

  build(): Promise<void> {
    return Promise.resolve();
  }

  async publish(record: TableRecord): Promise<ReceiptTotals> {
    const { totals, epoch } = await this.ledger.beginPublish(record);
    if (epoch === undefined) return totals;
    const files: string[] = [];
    for await (const each of this.ledger.committedFiles(record)) files.push(...each.files.map(({ path }) => path));
    const { mode, to } = record.spec;
    await this.#targets.commit(to, { kind: 'commit', app: appOf(record), epoch, mode, files });
    await this.ledger.published(record, epoch);
    return totals;
  }

  async discard({ run, spec }: TableRecord): Promise<void> {
    const { state } = await this.ledger.table(run, spec.table);
    if (state === 'published') return;
    if (state !== 'discarded') throw new LonghaulError('Unknown', `The files of ${spec.to} are kept: it is ${state}.`);
    for await (const page of this.#store.list(`${runFolderOf(spec.to, run)}/`))
      await this.#store.delete(page.map(({ path }) => path));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class JsonWriter implements PartitionWriter {
  readonly #rows: unknown[] = [];
  readonly #startedAt = new Date().toISOString();

  constructor(
    private readonly ledger: LakeLedger,
    private readonly store: ObjectStore,
    private readonly signal: AbortSignal,
    private readonly of: { record: TableRecord; partition: Partition; attempt: number },
  ) {}

  async load(stream: SourceStream, meter: Meter): Promise<number> {
    if (stream.kind !== 'rows') throw new LonghaulError('SourceChanged', `A JSON lake can't take ${stream.format}.`);
    const iterator = stream[Symbol.asyncIterator]();
    for (;;) {
      const next = await unlessAborted(this.signal, iterator.next() as Promise<IteratorResult<RowBatch, undefined>>);
      if (next.done) return this.#rows.length;
      const [malformed] = next.value.malformed ?? [];
      if (malformed) throw new LonghaulError('DataRejected', malformed.error);
      this.#rows.push(...next.value.rows.map(([id]) => id));
      meter.rows = this.#rows.length;
    }
  }

  async commit(rowsRead: number): Promise<Receipt> {
    const { record, partition, attempt } = this.of;
    const rows = this.#rows.length;
    if (rows !== rowsRead) throw new LonghaulError('CountMismatch', `${rowsRead} rows were read, ${rows} written.`);
    const file = await this.#write();
    const times = { startedAt: this.#startedAt, committedAt: new Date().toISOString() };
    const hash = predicateHash(partition, record.columns);
    const counts = { rows, bytes: file.size, attempt, ...times };
    const { ordinal } = partition;
    const receipt: Receipt = { ordinal, predicateHash: hash, state: 'committed', ...counts };
    const standing = await this.ledger.commit(record, receipt, [file]);
    if (standing === receipt) return receipt;
    throw new LonghaulError('ConnectionFailed', 'Another attempt has committed this partition.');
  }

  async #write(): Promise<DataFile> {
    const path = `${this.of.record.staging}/${randomUUID()}.json`;
    await using writer = await this.store.create(path);
    await writer.write(Buffer.from(JSON.stringify(this.#rows)));
    return { path, size: await writer.finish(), rows: this.#rows.length, statistics: {} };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function unlessAborted<T>(signal: AbortSignal, wait: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the abort's own reason
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    wait.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
