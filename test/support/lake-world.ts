import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { TableRecord } from '../../src/core/model.js';
import { RunCache, type LakeLedger } from '../../src/connectors/lake/ledger/index.js';
import type { NewTableRecord } from '../../src/connectors/types.js';
import { Random } from '../chaos/random.js';
import { JsonLake, JsonLakeSession, JsonTargets } from './json-lake.js';
import { MemoryObjects, type Faults } from './memory-store.js';

/** A lake in memory, on which any number of workers are at work in an order that a seed decides. */
export class LakeWorld {
  readonly objects = new MemoryObjects();
  readonly random: Random;

  constructor(
    seed: number,
    private readonly faults: Faults = {},
  ) {
    this.random = new Random(seed);
  }

  /** Gives way to others, a few times: what is at work interleaves in any order. */
  async giveWay(most = 4): Promise<void> {
    for (let left = this.random.int(0, most); left > 0; left--) await turn();
  }

  shuffled<T>(items: readonly T[]): T[] {
    const keyed = items.map((item) => ({ item, key: this.random.next() }));
    return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
  }

  /** What another process has: its own cache, and requests that take as long as they like. */
  worker(faults: Faults = {}): { lake: JsonLake; session: JsonLakeSession; ledger: LakeLedger } {
    const between = async (which: 'before' | 'after', ...of: Parameters<NonNullable<Faults['before']>>) => {
      await this.giveWay();
      await this.faults[which]?.(...of);
      await faults[which]?.(...of);
    };
    const lake = new JsonLake((signal) =>
      this.objects.store(signal, {
        before: (...of) => between('before', ...of),
        after: (...of) => between('after', ...of),
      }),
    );
    const session = new JsonLakeSession(lake, { signal: new AbortController().signal });
    return { lake, session, ledger: session.ledger };
  }

  /** Undisturbed: for what a test looks at. */
  calm(patience?: number): { lake: JsonLake; ledger: LakeLedger; targets: JsonTargets } {
    const lake = new JsonLake((signal) => this.objects.store(signal));
    const store = this.objects.store();
    return { lake, ledger: lake.ledger(store, patience, new RunCache()), targets: new JsonTargets(store) };
  }
}

/** Of a table into `to`, with a key `id`. */
export function newTable(to: string, given: Partial<NewTableRecord['spec']> = {}): NewTableRecord {
  const spec = { table: `source.${to}`, from: `source.${to}`, to, mode: 'replace', partition: { by: 'auto' } } as const;
  const id = { name: 'id', type: 'int', definition: 'int', notNull: true, generated: false };
  return {
    ...{ spec: { ...spec, ...given }, source: 'source', columns: ['id'], format: 'rows' },
    ...{ shape: { system: 'test', columns: [id], primaryKey: ['id'] }, fingerprint: { target: 'absent' } },
  };
}

export const newRun = (prefix = 'run'): { run: string; job: string; name: string } => {
  const run = `${prefix}-${randomUUID()}`;
  return { run, job: `job of ${run}`, name: `name of ${run}` };
};

export const partition = (ordinal: number) => ({ ordinal, label: `${ordinal}`, predicate: `id = ${ordinal}` });

/** One attempt at a partition of one row, whose id is its ordinal. */
export async function copy(
  session: JsonLakeSession,
  record: TableRecord,
  ordinal: number,
  id = ordinal,
): Promise<void> {
  const begun = await session.begin(record, partition(ordinal), 1);
  if ('predicateHash' in begun) return;
  await using writer = begun;
  const rows = (async function* () {
    yield await Promise.resolve({ rows: [[id]] });
  })();
  const stream = { kind: 'rows', format: 'rows', columns: ['id'], rows: Promise.resolve(1) } as const;
  await writer.load({ ...stream, [Symbol.asyncIterator]: () => rows }, { rows: 0, bytes: 0, phase: '' });
  await writer.commit(1);
}
