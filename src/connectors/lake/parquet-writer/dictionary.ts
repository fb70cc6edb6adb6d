import type { FixedLeaf } from './leaf.js';

/** Values differ too much for a dictionary beyond this many. */
export const MAX_ENTRIES = 1 << 15;

/** After so many values it is looked how much they repeat. */
export const SAMPLE = 16 * 1024;

/** How often each has to come at the least: an index takes the better part of a number. */
const REPEATS = 5;

/** Places of the hash table: a power of two, and at most a half of it is ever taken. */
const PLACES = MAX_ENTRIES * 2;

/** Which of the different values each value is. */
export interface Coded {
  /** By value that is not NULL: its entry. */
  readonly indices: Int32Array;
  readonly entries: number;
}

/**
 * The different values of one column chunk of fixed width. It serves one chunk after another, so that its memory is one stream's.
 */
export class FixedDictionary implements Coded {
  indices = new Int32Array(0);
  entries = 0;
  /** By entry: the value at which it was first seen. */
  readonly firsts = new Int32Array(MAX_ENTRIES);
  /** Entries + 1 by hash; 0: free. */
  readonly #table = new Int32Array(PLACES);

  /** False: the values are better written as they are. */
  build(leaf: FixedLeaf): boolean {
    if (leaf.count === 0) return false;
    if (this.indices.length < leaf.count) this.indices = new Int32Array(Math.ceil(leaf.count * 1.25));
    this.#table.fill(0);
    this.entries = 0;
    return this.#of(leaf) && this.entries * REPEATS <= leaf.count + REPEATS;
  }

  #of({ ints, words, count }: FixedLeaf): boolean {
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

  #full(index: number): boolean {
    return this.entries === MAX_ENTRIES || (index >= SAMPLE && this.entries * REPEATS > index);
  }

  #enter(place: number, first: number): number {
    this.firsts[this.entries++] = first;
    this.#table[place] = this.entries;
    return this.entries;
  }
}

function hash(value: number): number {
  return scattered(value) & (PLACES - 1);
}

/** A number whose low bits depend on all of its bits. */
export function scattered(value: number): number {
  const mixed = Math.imul(value ^ (value >>> 15), 0x9e3779b1);
  return mixed ^ (mixed >>> 13);
}

function equalFours(ints: Int32Array, one: number, other: number): boolean {
  for (let word = 0; word < 4; word++) if (ints[one + word] !== ints[other + word]) return false;
  return true;
}
