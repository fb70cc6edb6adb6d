import { writeChunk, type ChunkFacts, type ChunkValues, type ChunkWriter, type FileBytes } from './chunk.js';
import { CODECS, type Compression } from './compress.js';
import { FileStatistics } from './file-statistics.js';
import { schemaElements, type FileColumn } from './schema.js';
import { ThriftWriter } from './thrift.js';
import type { ColumnStatistics } from '../model.js';

const MAGIC = Buffer.from('PAR1');
const CREATED_BY = 'Longhaul';

/** One Parquet file: row groups are written as they fill, and nothing of them is kept but what the footer tells. */
export class ParquetFile {
  rows = 0;
  readonly #statistics: FileStatistics;
  /** Each as a struct of Thrift. */
  readonly #rowGroups: Uint8Array[] = [];

  constructor(
    private readonly columns: readonly FileColumn[],
    private readonly compression: Compression,
    private readonly out: FileBytes,
  ) {
    this.#statistics = new FileStatistics(columns);
    out.write(MAGIC);
  }

  writeRowGroup(chunks: Iterable<ChunkValues>, rows: number, writer: ChunkWriter): void {
    const start = this.out.size;
    const facts: ChunkFacts[] = [];
    for (const chunk of chunks) {
      const fact = writer.write(chunk, this.out);
      facts.push(fact);
      this.#statistics.add(facts.length - 1, fact, chunk.levels?.nulls);
    }
    this.#rowGroups.push(this.#rowGroup(facts, rows, start));
    this.rows += rows;
  }

  #rowGroup(facts: readonly ChunkFacts[], rows: number, start: number): Uint8Array {
    return ThriftWriter.struct((group) => {
      group.structs(1, facts, (chunk, fact) => writeChunk(chunk, fact, CODECS[this.compression]));
      group.i64(
        2,
        sum(facts, ({ uncompressed }) => uncompressed),
      );
      group.i64(3, rows);
      group.i64(5, start);
      group.i64(
        6,
        sum(facts, ({ compressed }) => compressed),
      );
      group.i16(7, Math.min(this.#rowGroups.length, 0x7fff));
    });
  }

  /** Writes the footer; answers with the statistics by column. */
  finish(): Readonly<Record<string, ColumnStatistics>> {
    const footer = ThriftWriter.struct((file) => {
      file.i32(1, 1);
      file.written(2, schemaElements(this.columns));
      file.i64(3, this.rows);
      file.written(4, this.#rowGroups);
      file.string(6, CREATED_BY);
      // Says that least and greatest values are in the order of their types: without it, readers don't believe them.
      file.structs(7, this.columns, (order) => order.struct(1, () => undefined));
    });
    this.out.write(footer);
    const length = Buffer.alloc(4);
    length.writeInt32LE(footer.length);
    this.out.write(length);
    this.out.write(MAGIC);
    return this.#statistics.byName();
  }
}

function sum(facts: readonly ChunkFacts[], of: (fact: ChunkFacts) => number): number {
  return facts.reduce((total, fact) => total + of(fact), 0);
}
