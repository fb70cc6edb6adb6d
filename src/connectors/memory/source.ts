import { LonghaulError } from '../../core/errors.js';
import type { Partition, TableRecord, TableSpec } from '../../core/model.js';
import type { DigestForm, Digester } from '../digester.js';
import { problem } from '../findings.js';
import type {
  Finding,
  PlanInput,
  Row,
  RowBatch,
  RowStream,
  SessionOptions,
  SourceSession,
  SourceTable,
} from '../types.js';
import { MemoryDigester } from './digester.js';
import type { MemoryServer, MemoryTable } from './server.js';

const BATCH = 100;

/** Reads tables of a memory server. A partition's predicate is a half-open range of row numbers as JSON; the last is open. */
export class MemorySource implements SourceSession {
  readonly #connection: Disposable;

  constructor(
    private readonly name: string,
    private readonly server: MemoryServer,
    private readonly options: SessionOptions,
  ) {
    this.#connection = server.connect(options);
  }

  identity(): Promise<string> {
    return Promise.resolve(`memory/${this.server.name}`);
  }

  checkServer(): Promise<Finding[]> {
    return Promise.resolve([]);
  }

  expand(pattern: string): Promise<string[]> {
    const [head = '', ...rest] = pattern.split('*');
    const matches = (name: string) => (rest.length === 0 ? name === head : name.startsWith(head));
    return Promise.resolve([...this.server.tables.keys()].filter(matches).sort());
  }

  describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }> {
    const table = this.server.tables.get(spec.from ?? spec.table);
    if (!table) {
      const message = `there is no table ${spec.from ?? spec.table}`;
      return Promise.resolve({ findings: [problem('from', message)] });
    }
    const { columns: shapes, primaryKey } = table;
    const columns = shapes.map(({ name }) => name).filter((name) => isCopied(spec, name));
    const shape = { system: 'memory', columns: shapes, primaryKey };
    return Promise.resolve({
      table: { shape, columns, formats: ['rows'], identity: `memory/${this.server.name}` },
      findings: [],
    });
  }

  plan(record: TableRecord): Promise<PlanInput> {
    const rows = this.#table(record.spec.from ?? record.spec.table).rows.length;
    const count = Math.max(1, record.spec.partition.count ?? 4);
    const bound = (ordinal: number) => Math.floor((rows * ordinal) / count);
    const partitions = Array.from({ length: count }, (_, ordinal): Partition => {
      const last = ordinal === count - 1;
      const predicate = JSON.stringify([bound(ordinal), last ? null : bound(ordinal + 1)]);
      return { ordinal, label: `${ordinal + 1}/${count}`, relation: record.spec.from ?? record.spec.table, predicate };
    });
    return Promise.resolve({ partitions, reason: `${count} ranges of row numbers`, estimatedRows: rows });
  }

  stream(record: TableRecord, partition: Partition): Promise<RowStream> {
    return Promise.resolve(rowStream(record.columns, this.#rows(record, partition), this.options.signal));
  }

  digester(record: TableRecord, form: DigestForm): Digester {
    return new MemoryDigester(record, form, (partition) => this.#rows(record, partition));
  }

  /** The copied columns of a partition's rows. */
  #rows(record: TableRecord, partition: Partition): unknown[][] {
    const table = this.#table(partition.relation ?? record.spec.table);
    const [from, to] = JSON.parse(partition.predicate) as [number, number | null];
    const places = record.columns.map((name) => table.columns.findIndex((column) => column.name === name));
    return table.rows.slice(from, to ?? undefined).map((row) => places.map((place) => row[place]));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    return Promise.resolve();
  }

  #table(name: string): MemoryTable {
    const table = this.server.tables.get(name);
    if (table) return table;
    throw new LonghaulError('SourceChanged', `Table ${name} of connection "${this.name}" is gone.`);
  }
}

function isCopied({ columns, exclude }: TableSpec, name: string): boolean {
  return (columns?.includes(name) ?? true) && !exclude?.includes(name);
}

/** Its count rejects when the iteration broke off. */
function rowStream(columns: readonly string[], rows: unknown[][], signal: AbortSignal): RowStream {
  let settle!: { resolve: (count: number) => void; reject: (reason: unknown) => void };
  const counted = new Promise<number>((resolve, reject) => (settle = { resolve, reject }));
  counted.catch(() => undefined);
  async function* batches(): AsyncGenerator<RowBatch> {
    try {
      for (let start = 0; start < rows.length; start += BATCH) {
        signal.throwIfAborted();
        yield await Promise.resolve({ rows: rows.slice(start, start + BATCH) as Row[] });
      }
      settle.resolve(rows.length);
    } finally {
      settle.reject(new Error('the stream was not read to its end'));
    }
  }
  return { kind: 'rows', format: 'rows', columns, rows: counted, [Symbol.asyncIterator]: batches };
}
