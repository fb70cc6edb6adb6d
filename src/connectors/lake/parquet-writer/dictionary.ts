import { BytesLeaf, type FixedLeaf, type Leaf } from './leaf.js';

/** Values differ too much for a dictionary beyond this many, of so many bytes. */
const MAX_ENTRIES = 1 << 15;
const MAX_BYTES = 1 << 20;

/** After so many values it is looked how much they repeat. */
const SAMPLE = 16 * 1024;

/** How often each has to come at the least: an index takes the better part of a number, and little of a text. */
const FIXED_REPEATS = 5;
const BYTES_REPEATS = 2;

/** Places of the hash table: a power of two, and at most a half of it is ever taken. */
const PLACES = MAX_ENTRIES * 2;

/** A longer value is no sign of a column that repeats itself. */
const LONGEST = 512;

/**
 * The different values of one column chunk, and for each value which it is. It serves one chunk after another, so that its memory is one
 * stream's.
 */
export class Dictionary {
  /** By value that is not NULL: its entry. */
  indices = new Int32Array(0);
  entries = 0;
  /** By entry: the value at which it was first seen (fixed width), or the place of its bytes in the leaf. */
  readonly firsts = new Int32Array(MAX_ENTRIES);
  /** Entries + 1 by hash; 0: free. */
  #repeats = 0;
  readonly #table = new Int32Array(PLACES);

  /** False: the values are better written as they are. */
  build(leaf: Leaf): boolean {
    if (leaf.count === 0) return false;
    if (this.indices.length < leaf.count) this.indices = new Int32Array(Math.ceil(leaf.count * 1.25));
    this.#table.fill(0);
    this.entries = 0;
    this.#repeats = leaf instanceof BytesLeaf ? BYTES_REPEATS : FIXED_REPEATS;
    const built = leaf instanceof BytesLeaf ? this.#ofBytes(leaf) : this.#ofFixed(leaf);
    return built && this.entries * this.#repeats <= leaf.count + this.#repeats;
  }

  #ofFixed({ ints, words, count }: FixedLeaf): boolean {
    if (words === 1) return this.#ofSingles(ints, count);
    return words === 2 ? this.#ofPairs(ints, count) : this.#ofFours(ints, count);
  }

  #ofSingles(ints: Int32Array, count: number): boolean {
    const { indices, firsts } = this;
    const table = this.#table;
    for (let index = 0; index < count; index++) {
      const value = ints[index]!;
      let place = hash(value);
      let entry = table[place]!;
      while (entry !== 0 && ints[firsts[entry - 1]!] !== value) {
        place = (place + 1) & (PLACES - 1);
        entry = table[place]!;
      }
      if (entry === 0) {
        if (this.#full(index)) return false;
        entry = this.#enter(place, index);
      }
      indices[index] = entry - 1;
    }
    return true;
  }

  #ofPairs(ints: Int32Array, count: number): boolean {
    const { indices, firsts } = this;
    const table = this.#table;
    for (let index = 0; index < count; index++) {
      const low = ints[index * 2]!;
      const high = ints[index * 2 + 1]!;
      let place = hash(low ^ Math.imul(high, 0x85ebca6b));
      let entry = table[place]!;
      while (entry !== 0) {
        const first = firsts[entry - 1]! * 2;
        if (ints[first] === low && ints[first + 1] === high) break;
        place = (place + 1) & (PLACES - 1);
        entry = table[place]!;
      }
      if (entry === 0) {
        if (this.#full(index)) return false;
        entry = this.#enter(place, index);
      }
      indices[index] = entry - 1;
    }
    return true;
  }

  #ofFours(ints: Int32Array, count: number): boolean {
    for (let index = 0; index < count; index++) {
      const at = index * 4;
      let mixed = 0;
      for (let word = 0; word < 4; word++) mixed = Math.imul(mixed ^ ints[at + word]!, 0x85ebca6b);
      let place = hash(mixed);
      let entry = this.#table[place]!;
      while (entry !== 0 && !equalFours(ints, this.firsts[entry - 1]! * 4, at)) {
        place = (place + 1) & (PLACES - 1);
        entry = this.#table[place]!;
      }
      if (entry === 0) {
        if (this.#full(index)) return false;
        entry = this.#enter(place, index);
      }
      this.indices[index] = entry - 1;
    }
    return true;
  }

  #ofBytes({ view, count }: BytesLeaf): boolean {
    const { indices, firsts } = this;
    const table = this.#table;
    let bytes = 0;
    for (let index = 0, at = 0; index < count; index++) {
      const length = view.getInt32(at, true);
      if (length > LONGEST) return false;
      const end = at + 4 + length;
      let place = hashBytes(view, at, end);
      let entry = table[place]!;
      while (entry !== 0 && !equalBytes(view, firsts[entry - 1]!, at, end)) {
        place = (place + 1) & (PLACES - 1);
        entry = table[place]!;
      }
      if (entry === 0) {
        bytes += length + 4;
        if (bytes > MAX_BYTES || this.#full(index)) return false;
        entry = this.#enter(place, at);
      }
      indices[index] = entry - 1;
      at = end;
    }
    return true;
  }

  #full(index: number): boolean {
    return this.entries === MAX_ENTRIES || (index >= SAMPLE && this.entries * this.#repeats > index);
  }

  #enter(place: number, first: number): number {
    this.firsts[this.entries++] = first;
    this.#table[place] = this.entries;
    return this.entries;
  }
}

function hash(value: number): number {
  const mixed = Math.imul(value ^ (value >>> 15), 0x9e3779b1);
  return (mixed ^ (mixed >>> 13)) & (PLACES - 1);
}

/** What of a value's last word of four bytes is its own, by its length modulo 4. */
const OWN = Int32Array.of(-1, 0xff, 0xffff, 0xffffff);

/** Of the length's four bytes too. */
function hashBytes(view: DataView, from: number, to: number): number {
  let mixed = 0x811c9dc5;
  let at = from;
  for (; at + 4 < to; at += 4) {
    mixed = Math.imul(mixed ^ view.getInt32(at, true), 0x85ebca6b);
    mixed ^= mixed >>> 15;
  }
  return hash(Math.imul(mixed ^ (view.getInt32(at, true) & OWN[(to - from) & 3]!), 0x85ebca6b));
}

/** Whether a value's bytes, its length included, are those at `first`. */
function equalBytes(view: DataView, first: number, from: number, to: number): boolean {
  let at = from;
  let other = first;
  for (; at + 4 < to; at += 4, other += 4) if (view.getInt32(at) !== view.getInt32(other)) return false;
  return ((view.getInt32(at, true) ^ view.getInt32(other, true)) & OWN[(to - from) & 3]!) === 0;
}

function equalFours(ints: Int32Array, one: number, other: number): boolean {
  for (let word = 0; word < 4; word++) if (ints[one + word] !== ints[other + word]) return false;
  return true;
}
