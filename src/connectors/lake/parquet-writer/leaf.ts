import { BytesDictionary } from './bytes-dictionary.js';

/**
 * The values of a column of one row group, as they are collected. A slot is a place for a value: a row's, or a list's element's. Values that
 * are NULL take a slot and nothing else. Arrays grow and are used anew for the next row group; decoders write into them directly, after
 * `reserve`, and call `advance`.
 */
abstract class Slots {
  /** By slot: 1 where there is a value. */
  present = new Uint8Array(FIRST_SLOTS);
  slots = 0;
  /** Values that are not NULL. */
  count = 0;

  abstract readonly byteLength: number;

  /** Makes place for so many slots more. */
  reserve(slots: number): void {
    if (this.slots + slots > this.present.length) this.present = grown(this.present, this.slots + slots);
  }

  clear(): void {
    this.slots = 0;
    this.count = 0;
  }
}

const FIRST_SLOTS = 64;

/** Values of 1, 2 or 4 words of 32 bits, the lowest word first: in memory they are as PLAIN encoding has them, booleans apart. */
export class FixedLeaf extends Slots {
  ints = new Int32Array(0);

  constructor(readonly words: 1 | 2 | 4) {
    super();
    this.ints = new Int32Array(FIRST_SLOTS * words);
  }

  get byteLength(): number {
    return this.count * this.words * 4;
  }

  override reserve(slots: number): void {
    super.reserve(slots);
    const needed = (this.count + slots) * this.words;
    if (needed > this.ints.length) this.ints = grown(this.ints, needed);
  }

  advance(slots: number, count: number): void {
    this.slots = slots;
    this.count = count;
  }
}

/**
 * Values of bytes, in memory as PLAIN encoding has them: each a little-endian length of 4 bytes, and its bytes. As long as there is a
 * dictionary, only the different ones, in the order of its entries.
 */
export class BytesLeaf extends Slots {
  data = new Uint8Array(FIRST_SLOTS * 8);
  view = new DataView(this.data.buffer);
  /** Bytes of `data` that are taken. */
  at = 0;
  readonly #dictionary = new BytesDictionary();
  dictionary: BytesDictionary | undefined = this.#dictionary;

  get byteLength(): number {
    return this.at + (this.dictionary ? this.count * 4 : 0);
  }

  /** Values in `data`. */
  get kept(): number {
    return this.dictionary?.entries ?? this.count;
  }

  /** Makes place for so many bytes more, lengths included, and a word behind them: they are copied and compared by words. */
  reserveBytes(bytes: number): void {
    const needed = this.at + bytes + 4;
    if (needed > this.data.length) this.#use(grown(this.data, needed));
  }

  advance(slots: number, count: number, at: number): void {
    this.slots = slots;
    this.count = count;
    this.at = at;
  }

  /** Takes the value of so many bytes that was put at `at + 4`, after `reserve`. */
  take(length: number): void {
    const entry = this.code(length);
    if (entry >= 0) {
      this.dictionary!.reserve(this.count + 1);
      this.dictionary!.indices[this.count] = entry;
    } else this.at += 4 + length;
    this.present[this.slots] = 1;
    this.advance(this.slots + 1, this.count + 1, this.at);
  }

  /** The entry of the value of so many bytes that was put at `at + 4`: a new one, if need be. -1: there is no dictionary any more. */
  code(length: number): number {
    writeLength(this.data, this.at, length);
    const { dictionary } = this;
    if (dictionary === undefined) return -1;
    const entry = dictionary.find(this.view, this.view, this.at + 4, length);
    if (entry >= 0) return entry;
    if (!dictionary.takes(length, this.count, this.at)) {
      this.#writeOut(dictionary, 4 + length);
      return -1;
    }
    this.at += 4 + length;
    return dictionary.enter(this.view, this.at - 4 - length);
  }

  /** Its dictionary, all values being there; undefined: they are better written as they are. */
  coded(): BytesDictionary | undefined {
    if (this.dictionary && !this.dictionary.serves(this.count)) this.#writeOut(this.dictionary, 0);
    return this.dictionary;
  }

  /** Each value as itself from now on. `more`: bytes behind the taken ones that stay there. */
  #writeOut(dictionary: BytesDictionary, more: number): void {
    const { data, count, at } = this;
    const { indices } = dictionary;
    const sizeAt = (first: number) => 4 + readLength(data, first);
    let size = more;
    for (let index = 0; index < count; index++) size += sizeAt(dictionary.first(indices[index]!));
    this.#use(new Uint8Array(size + 4));
    this.at = 0;
    for (let index = 0; index < count; index++) {
      const first = dictionary.first(indices[index]!);
      const end = first + sizeAt(first);
      this.data.set(data.subarray(first, end), this.at);
      this.at += end - first;
    }
    this.data.set(data.subarray(at, at + more), this.at);
    this.dictionary = undefined;
  }

  override clear(): void {
    super.clear();
    this.at = 0;
    this.#dictionary.clear();
    this.dictionary = this.#dictionary;
    if (this.data.length > LARGE) this.#use(new Uint8Array(FIRST_SLOTS * 8));
  }

  #use(data: Uint8Array<ArrayBuffer>): void {
    this.data = data;
    this.view = new DataView(data.buffer);
  }
}

/** Buffers of bytes beyond this are not kept for the next row group: one huge value shall not hold memory for good. */
const LARGE = 32 << 20;

export function writeLength(data: Uint8Array, at: number, length: number): void {
  data[at] = length;
  data[at + 1] = length >>> 8;
  data[at + 2] = length >>> 16;
  data[at + 3] = length >>> 24;
}

export function readLength(data: Uint8Array, at: number): number {
  return data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
}

function grown<T extends Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(array: T, needed: number): T {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(needed, Math.ceil(array.length * 1.5)));
  larger.set(array);
  return larger;
}

/** The values of a column, of either kind. */
export type Leaf = FixedLeaf | BytesLeaf;

/** The nesting of a list column: by entry (an element, or an empty or missing list), its repetition and definition level. */
export class ListLevels {
  repetition = new Uint8Array(FIRST_SLOTS);
  definition = new Uint8Array(FIRST_SLOTS);
  entries = 0;
  rows = 0;
  /** Lists that are NULL themselves. */
  nulls = 0;

  reserve(entries: number): void {
    const needed = this.entries + entries;
    if (needed <= this.repetition.length) return;
    this.repetition = grown(this.repetition, needed);
    this.definition = grown(this.definition, needed);
  }

  /** After `reserve`. */
  add(repetition: number, definition: number): void {
    this.repetition[this.entries] = repetition;
    this.definition[this.entries++] = definition;
    if (repetition === 0) this.rows++;
  }

  clear(): void {
    this.entries = 0;
    this.rows = 0;
    this.nulls = 0;
  }
}
