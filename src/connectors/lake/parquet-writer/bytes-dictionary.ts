import { MAX_ENTRIES, SAMPLE, scattered, type Coded } from './dictionary.js';

/** Values differ too much for a dictionary beyond so many bytes of them. */
const MAX_BYTES = 1 << 20;

/** How often each has to come at the least: an index takes little of a text. */
const REPEATS = 2;

/** A longer value is no sign of a column that repeats itself. */
const LONGEST = 512;

const FIRST_PLACES = 64;

/**
 * The different values of bytes of one column chunk, found as the values come: each is kept once. An entry is where a value stands in its
 * leaf's data, behind its length. Its own memory follows the number of values and of entries.
 */
export class BytesDictionary implements Coded {
  indices = new Int32Array(FIRST_PLACES);
  entries = 0;
  /** By entry: where its length stands. */
  #firsts = new Int32Array(FIRST_PLACES / 2);
  /** Entries + 1 by hash; 0: free. A power of two, and at most a half of it is taken. */
  #table = new Int32Array(FIRST_PLACES);
  #hash = 0;

  clear(): void {
    this.entries = 0;
    this.#table.fill(0);
  }

  /** Makes place for so many indices in all. */
  reserve(count: number): void {
    if (count > this.indices.length) this.indices = copied(this.indices, Math.max(count, this.indices.length * 1.5));
  }

  /**
   * The entry that is equal to the `length` bytes at `at` of `view`, up to three bytes behind which can be read; -1: there is none, and
   * `enter` may make it one. `data` has the entries.
   */
  find(data: DataView, view: DataView, at: number, length: number): number {
    const table = this.#table;
    const firsts = this.#firsts;
    const mask = table.length - 1;
    this.#hash = hashOf(view, at, length);
    for (let place = this.#hash & mask; ; place = (place + 1) & mask) {
      const entry = table[place]! - 1;
      if (entry < 0 || equal(data, firsts[entry]!, view, at, length)) return entry;
    }
  }

  /** Whether one more entry of so many bytes, after `count` values and `bytes` of entries, is still worth it. */
  takes(length: number, count: number, bytes: number): boolean {
    if (length > LONGEST || this.entries === MAX_ENTRIES || bytes + length + 4 > MAX_BYTES) return false;
    return count < SAMPLE || this.entries * REPEATS <= count;
  }

  /** Whether it is worth it for `count` values, which are all. */
  serves(count: number): boolean {
    return count > 0 && this.entries * REPEATS <= count + REPEATS;
  }

  /** Makes what was looked for last an entry, whose length stands at `first` of the data. */
  enter(data: DataView, first: number): number {
    if (this.entries === this.#firsts.length) this.#grow(data);
    this.#firsts[this.entries] = first;
    this.#place(this.#hash, this.entries);
    return this.entries++;
  }

  /** Where entry `entry` stands. */
  first(entry: number): number {
    return this.#firsts[entry]!;
  }

  #place(hash: number, entry: number): void {
    const mask = this.#table.length - 1;
    let place = hash & mask;
    while (this.#table[place] !== 0) place = (place + 1) & mask;
    this.#table[place] = entry + 1;
  }

  #grow(data: DataView): void {
    this.#firsts = copied(this.#firsts, this.#firsts.length * 2);
    this.#table = new Int32Array(this.#firsts.length * 2);
    for (let entry = 0; entry < this.entries; entry++) {
      const first = this.#firsts[entry]!;
      this.#place(hashOf(data, first + 4, data.getInt32(first, true)), entry);
    }
  }
}

function copied(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.ceil(length));
  larger.set(array);
  return larger;
}

/** What of a value's last word of four bytes is its own, by its length modulo 4; of whole words nothing is left. */
const OWN = Int32Array.of(0, 0xff, 0xffff, 0xffffff);

function hashOf(view: DataView, from: number, length: number): number {
  let mixed = length ^ 0x811c9dc5;
  let at = from;
  for (const end = from + (length & ~3); at < end; at += 4) {
    mixed = Math.imul(mixed ^ view.getInt32(at, true), 0x85ebca6b);
    mixed ^= mixed >>> 15;
  }
  const own = OWN[length & 3]!;
  if (own !== 0) mixed = Math.imul(mixed ^ (view.getInt32(at, true) & own), 0x85ebca6b);
  return scattered(mixed);
}

/** Whether the value whose length stands at `first` is these bytes. */
function equal(data: DataView, first: number, view: DataView, from: number, length: number): boolean {
  if (data.getInt32(first, true) !== length) return false;
  let at = from;
  let other = first + 4;
  for (const end = from + (length & ~3); at < end; at += 4, other += 4)
    if (view.getInt32(at) !== data.getInt32(other)) return false;
  const own = OWN[length & 3]!;
  return own === 0 || ((view.getInt32(at, true) ^ data.getInt32(other, true)) & own) === 0;
}
