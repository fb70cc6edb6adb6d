import type {
  ByteStream,
  Connector,
  Format,
  Row,
  RowBatch,
  RowStream,
  SourceSession,
  SourceStream,
} from '../../src/connectors/types.js';
import type { Partition, TableRecord } from '../../src/core/model.js';

/** A source without a catalog, made in a test: what it declares, and what it gives for a partition. */
export interface RowsSource {
  /** Name → type. Absent: its columns are inferred. */
  readonly declared?: Readonly<Record<string, string>>;
  readonly formats: readonly Format[];
  readonly open: (partition: Partition, record: TableRecord) => SourceStream;
}

export function rowsConnector(source: RowsSource): Connector {
  return {
    name: 'program',
    type: 'test',
    capabilities: { formats: source.formats, source: true, destination: false },
    openSource: () => Promise.resolve(session(source)),
    openDestination: () => Promise.reject(new Error('only a source')),
  };
}

function session({ declared, formats, open }: RowsSource): SourceSession {
  const columns = Object.entries(declared ?? {}).map(([name, type]) => ({
    ...{ name, type, definition: type.toLowerCase(), notNull: false, generated: false },
  }));
  return {
    identity: () => Promise.resolve('program'),
    checkServer: () => Promise.resolve([]),
    expand: () => Promise.resolve([]),
    describe: () =>
      Promise.resolve({
        findings: [],
        table: {
          shape: { system: 'declared', columns, primaryKey: [] },
          columns: columns.map(({ name }) => name),
          ...{ formats, identity: 'program', ...(declared === undefined && { inferred: true as const }) },
        },
      }),
    plan: ({ spec }) =>
      Promise.resolve({
        partitions: (spec.queries ?? []).map(({ id, sql }, ordinal) => ({ ordinal, label: id, predicate: sql })),
        reason: 'one for each query',
      }),
    stream: (record, partition) => Promise.resolve(open(partition, record)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Malformed ones are counted too. */
export function rowStream(columns: readonly string[], batches: Iterable<RowBatch>): RowStream {
  let count = 0;
  let settle!: { resolve: (rows: number) => void; reject: (reason: unknown) => void };
  const rows = new Promise<number>((resolve, reject) => (settle = { resolve, reject }));
  rows.catch(() => undefined);
  async function* iterate(): AsyncGenerator<RowBatch> {
    try {
      for (const batch of batches) {
        count += batch.rows.length + (batch.malformed?.length ?? 0);
        yield await Promise.resolve(batch);
      }
      settle.resolve(count);
    } finally {
      settle.reject(new Error('not read to its end'));
    }
  }
  return { kind: 'rows', format: 'rows', columns, rows, [Symbol.asyncIterator]: iterate };
}

export function rowsOf(columns: readonly string[], rows: readonly Row[], batch = 100): RowStream {
  const batches = Array.from({ length: Math.ceil(rows.length / batch) }, (_, index) => ({
    rows: rows.slice(index * batch, (index + 1) * batch),
  }));
  return rowStream(columns, batches);
}

/** In pieces of so many bytes. */
export function csvStream(text: string, rows: number, piece = 7): ByteStream {
  const bytes = Buffer.from(text);
  async function* iterate(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += piece) yield await Promise.resolve(bytes.subarray(at, at + piece));
  }
  return { kind: 'bytes', format: 'csv', rows: Promise.resolve(rows), [Symbol.asyncIterator]: iterate };
}
