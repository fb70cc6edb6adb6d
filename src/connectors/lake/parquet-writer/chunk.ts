import { boundBytes, boundsOf, bytesBounds, shortMax, shortMin, type Bounds, type Chosen } from './bounds.js';
import { Scratch } from './bytes.js';
import type { Compressor } from './compress.js';
import { FixedDictionary, type Coded } from './dictionary.js';
import { BytesLeaf, FixedLeaf, type Leaf, type ListLevels } from './leaf.js';
import { writeBooleans, writeHybrid, writeLevels } from './levels.js';
import { BOOLEAN, leafType, physicalType } from './physical.js';
import type { FileColumn } from './schema.js';
import { ThriftWriter } from './thrift.js';

const DATA_PAGE = 0;
const DICTIONARY_PAGE = 2;
const PLAIN = 0;
const RLE = 3;
const RLE_DICTIONARY = 8;

/** Values of a page, before compression: readers take a page into memory as a whole. */
const PAGE_BYTES = 1 << 20;

/** One column of one row group as it was collected. */
export interface ChunkValues {
  readonly column: FileColumn;
  readonly leaf: Leaf;
  /** Of a list. */
  readonly levels?: ListLevels;
}

/** What the footer tells of a chunk, offsets counted from the file's begin. */
export interface ChunkFacts {
  readonly column: FileColumn;
  readonly encodings: readonly number[];
  readonly entries: number;
  readonly nulls: number;
  readonly uncompressed: number;
  readonly compressed: number;
  readonly dataOffset: number;
  readonly dictionaryOffset?: number;
  readonly bounds?: Bounds;
}

/** Values [from, to) of a leaf in entries [first, last) of a column: one page. */
interface PageSpan {
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
  /** Of values of bytes, in memory. */
  readonly fromByte: number;
  readonly toByte: number;
}

/** Takes bytes of a file in order; they may be reused afterwards. */
export interface FileBytes {
  readonly size: number;
  write(bytes: Uint8Array): void;
}

/** Writes column chunks, one after another, with one memory for all. */
export class ChunkWriter {
  readonly #page = new Scratch();
  readonly #dictionary = new FixedDictionary();
  #uncompressed = 0;
  #compressed = 0;

  constructor(private readonly compress: Compressor) {}

  write(values: ChunkValues, out: FileBytes): ChunkFacts {
    const { column, leaf, levels } = values;
    [this.#uncompressed, this.#compressed] = [0, 0];
    const physical = physicalType(leafType(column.type));
    const coded = this.#codedBy(leaf, physical);
    const dictionaryOffset = coded ? out.size : undefined;
    if (coded) this.#dictionaryPage(leaf, coded.entries, out);
    const dataOffset = out.size;
    for (const span of pagesOf(values, coded !== undefined)) this.#dataPage(values, span, coded, out);
    const bounds = statisticsOf(values, physical, coded === this.#dictionary ? this.#dictionary : undefined);
    return {
      column,
      encodings: coded ? [PLAIN, RLE, RLE_DICTIONARY] : [PLAIN, RLE],
      entries: levels?.entries ?? leaf.slots,
      nulls: (levels?.entries ?? leaf.slots) - leaf.count,
      ...{ uncompressed: this.#uncompressed, compressed: this.#compressed, dataOffset },
      ...(dictionaryOffset !== undefined && { dictionaryOffset }),
      ...(bounds !== undefined && { bounds }),
    };
  }

  /** Undefined: the values are better written as they are. */
  #codedBy(leaf: Leaf, physical: number): Coded | undefined {
    if (leaf instanceof BytesLeaf) return leaf.coded();
    return physical !== BOOLEAN && this.#dictionary.build(leaf) ? this.#dictionary : undefined;
  }

  #dictionaryPage(leaf: Leaf, entries: number, out: FileBytes): void {
    this.#page.clear();
    if (leaf instanceof BytesLeaf) this.#page.add(leaf.data.subarray(0, leaf.at));
    else this.#fixedEntries(leaf);
    this.#writePage(out, DICTIONARY_PAGE, (header) =>
      header.struct(7, (dictionary) => {
        dictionary.i32(1, entries);
        dictionary.i32(2, PLAIN);
      }),
    );
  }

  #fixedEntries(leaf: FixedLeaf): void {
    const { entries, firsts } = this.#dictionary;
    const bytes = bytesOf(leaf);
    const width = leaf.words * 4;
    for (let entry = 0; entry < entries; entry++) {
      const first = firsts[entry]! * width;
      this.#page.add(bytes.subarray(first, first + width));
    }
  }

  #dataPage({ column, leaf, levels }: ChunkValues, span: PageSpan, coded: Coded | undefined, out: FileBytes): void {
    const page = this.#page;
    const { first, last } = span;
    page.clear();
    if (levels) {
      writeLevels(page, levels.repetition, first, last, 1);
      writeLevels(page, levels.definition, first, last, 2);
    } else if (column.nullable) {
      writeLevels(page, leaf.present, first, last, 1, leaf.count === leaf.slots);
    }
    if (coded) this.#indices(span, coded);
    else plainValues(page, leaf, span, leafType(column.type).kind === 'boolean');
    this.#writePage(out, DATA_PAGE, (header) =>
      header.struct(5, (data) => {
        data.i32(1, last - first);
        data.i32(2, coded ? RLE_DICTIONARY : PLAIN);
        data.i32(3, RLE);
        data.i32(4, RLE);
      }),
    );
  }

  #indices({ from, to }: PageSpan, { entries, indices }: Coded): void {
    const bits = Math.max(1, 32 - Math.clz32(entries - 1));
    this.#page.byte(bits);
    writeHybrid(this.#page, indices, from, to, bits);
  }

  #writePage(out: FileBytes, type: number, kind: (header: ThriftWriter) => void): void {
    const raw = this.#page.taken();
    const compressed = this.compress(raw);
    const header = ThriftWriter.struct((writer) => {
      writer.i32(1, type);
      writer.i32(2, raw.length);
      writer.i32(3, compressed.length);
      kind(writer);
    });
    out.write(header);
    out.write(compressed);
    this.#uncompressed += header.length + raw.length;
    this.#compressed += header.length + compressed.length;
  }
}

function bytesOf({ ints }: FixedLeaf): Uint8Array {
  return new Uint8Array(ints.buffer);
}

function plainValues(page: Scratch, leaf: Leaf, span: PageSpan, boolean: boolean): void {
  if (leaf instanceof BytesLeaf) page.add(leaf.data.subarray(span.fromByte, span.toByte));
  else if (boolean) writeBooleans(page, leaf.ints, span.from, span.to);
  else {
    const width = leaf.words * 4;
    page.add(bytesOf(leaf).subarray(span.from * width, span.to * width));
  }
}

/** Pages of about PAGE_BYTES, cut between rows. Indices into a dictionary are small: they are one page. */
function pagesOf({ leaf, levels }: ChunkValues, coded: boolean): PageSpan[] {
  const entries = levels?.entries ?? leaf.slots;
  const whole = { first: 0, last: entries, from: 0, to: leaf.count, fromByte: 0, toByte: leaf.byteLength };
  if (coded || leaf.byteLength <= PAGE_BYTES) return [whole];
  const present = levels ? levels.definition : leaf.present;
  const full = levels ? maxOf(present, entries) : 1;
  const width = leaf instanceof FixedLeaf ? leaf.words * 4 : 0;
  const data = leaf instanceof BytesLeaf ? leaf.view : undefined;
  const pages: PageSpan[] = [];
  let [first, from, fromByte, to, toByte] = [0, 0, 0, 0, 0];
  for (let entry = 0; entry < entries; entry++) {
    if (toByte - fromByte >= PAGE_BYTES && (levels === undefined || levels.repetition[entry] === 0)) {
      pages.push({ first, last: entry, from, to, fromByte, toByte });
      [first, from, fromByte] = [entry, to, toByte];
    }
    if (present[entry] !== full) continue;
    to++;
    toByte += data === undefined ? width : 4 + data.getInt32(toByte, true);
  }
  pages.push({ first, last: entries, from, to, fromByte, toByte });
  return pages;
}

/** The level of an element that is there; asked only where there are some. */
function maxOf(levels: Uint8Array, entries: number): number {
  let max = 0;
  for (let entry = 0; entry < entries; entry++) max = Math.max(max, levels[entry]!);
  return max;
}

/**
 * Bytes of a text's bounds that are kept with the file: more than 64 characters, of which nobody keeps more, so that it is still seen that they
 * are cut. A value of a gigabyte would be twice in memory, and be no string of JavaScript's, which ends at half of that.
 */
const BOUND_BYTES = 65 * 4;

function statisticsOf({ column, leaf }: ChunkValues, physical: number, chosen?: Chosen): Bounds | undefined {
  if (column.type.kind === 'list') return undefined;
  if (leaf instanceof BytesLeaf) return column.type.kind === 'binary' ? undefined : bytesBounds(leaf, BOUND_BYTES);
  return boundsOf(leaf, physical, chosen);
}

/** The facts as the footer has them. */
export function writeChunk(chunk: ThriftWriter, facts: ChunkFacts, codec: number): void {
  const physical = physicalType(leafType(facts.column.type));
  chunk.i64(2, facts.dictionaryOffset ?? facts.dataOffset);
  chunk.struct(3, (data) => {
    data.i32(1, physical);
    data.enums(2, facts.encodings);
    data.strings(3, pathOf(facts.column));
    data.i32(4, codec);
    data.i64(5, facts.entries);
    data.i64(6, facts.uncompressed);
    data.i64(7, facts.compressed);
    data.i64(9, facts.dataOffset);
    if (facts.dictionaryOffset !== undefined) data.i64(11, facts.dictionaryOffset);
    data.struct(12, (statistics) => writeStatistics(statistics, facts, physical));
  });
}

function pathOf({ name, type }: FileColumn): string[] {
  return type.kind === 'list' ? [name, 'list', 'element'] : [name];
}

function writeStatistics(statistics: ThriftWriter, { bounds, nulls }: ChunkFacts, physical: number): void {
  statistics.i64(3, nulls);
  if (bounds === undefined) return;
  const min = shortMin(boundBytes(bounds.min, physical), true);
  const max = shortMax(boundBytes(bounds.max, physical), true);
  if (max !== undefined) statistics.binary(5, max.bytes);
  statistics.binary(6, min.bytes);
  if (max !== undefined) statistics.bool(7, max.exact);
  statistics.bool(8, min.exact);
}
