import { DeltaFormat } from '../../src/connectors/delta/format.js';
import { RunCache } from '../../src/connectors/lake/ledger/index.js';
import type { LakeDestination } from '../../src/connectors/lake/destination/index.js';
import { openLakeIn } from '../../src/connectors/lake/open.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import { ParquetFormat } from '../../src/connectors/parquet/format.js';
import { predicateHash } from '../../src/connectors/hash.js';
import type { Mode, TableRecord } from '../../src/core/model.js';
import { newRun, newTable, partition } from './lake-world.js';
import { MemoryObjects, type Faults } from './memory-store.js';

/** A real destination of Delta or of Parquet over objects in memory; data files hold no rows. */
export class MemoryLake {
  readonly objects = new MemoryObjects();

  constructor(readonly type: 'delta' | 'parquet') {}

  store(faults: Faults = {}): OpenStore {
    const { signal } = new AbortController();
    return Object.assign(this.objects.store(signal, faults), {
      sweep: () => Promise.resolve(0),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }

  /** As another process has it. */
  session(faults?: Faults): LakeDestination {
    const store = this.store(faults);
    const { signal } = new AbortController();
    const format =
      this.type === 'delta' ? new DeltaFormat('lake', store, log, 'test') : new ParquetFormat('lake', store);
    const settings = { name: 'lake', compression: 'zstd', targetFileSize: 1e8, outOfRange: 'error' } as const;
    const place = { identity: 'memory', check: () => Promise.resolve([]) };
    const options = { signal, log, label: 'test' };
    return openLakeIn(store, settings, options, format, new RunCache(), place);
  }

  /** A run of these tables that has everything but been published: each has one file, or so many, the first of one row. */
  async ready(
    targets: readonly string[],
    mode: Mode = 'replace',
    run = newRun(),
    files = 1,
  ): Promise<readonly TableRecord[]> {
    const { ledger } = this.session();
    const records = await ledger.openRun(run, targets.map((to) => newTable(to, { mode }))); // prettier-ignore
    for (const record of records) {
      await ledger.putPlan(record, { partitions: [partition(0)], reason: 'one' });
      const written = Array.from({ length: files }, (_, file) => {
        const path = `${record.staging}${file}.parquet`;
        const bytes = Buffer.from(`rows of ${path}`);
        return { path, bytes, size: bytes.length, rows: file === 0 ? 1 : 0, statistics: {} };
      });
      for (const { path, bytes } of written) await this.store().putIfAbsent(path, bytes);
      const bytes = written.reduce((sum, { size }) => sum + size, 0);
      await ledger.commit(record, receiptOf(record, bytes), written.map(({ bytes: _, ...file }) => file)); // prettier-ignore
    }
    return records;
  }

  async published(to: string, mode?: Mode): Promise<TableRecord> {
    const [record] = await this.ready([to], mode);
    await this.session().publish(record!, meter());
    return record!;
  }
}

export const meter = () => ({ rows: 0, bytes: 0, phase: '' });

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet };

function receiptOf({ columns }: TableRecord, bytes: number) {
  const at = new Date().toISOString();
  const predicate = predicateHash(partition(0), columns);
  const counts = { ordinal: 0, rows: 1, bytes, attempt: 1, startedAt: at, committedAt: at };
  return { ...counts, predicateHash: predicate, state: 'committed' } as const;
}
