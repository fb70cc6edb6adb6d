import type { ObjectStore } from '../../objects/store.js';
import { mapAll } from '../in-order.js';
import { damaged, getJson, listed, putJson } from './objects.js';
import { digits, numberOf } from './paths.js';

/**
 * Objects with the numbers 0, 1, 2 …, none of which is ever changed or removed. Each is one transaction: whoever puts the next number
 * has read all before it, and of two that try the same number one loses, reads on and decides anew.
 */
export class NumberedLog<Entry> {
  constructor(
    private readonly store: ObjectStore,
    private readonly folder: string,
  ) {}

  /** The last number, -1 without any. `after`: it is known that this number is there. */
  async last(after?: number): Promise<number> {
    let last = after ?? -1;
    const from = after === undefined ? undefined : this.#path(after);
    for await (const { path } of listed(this.store, this.folder, from)) last = Math.max(last, numberOf(path));
    return last;
  }

  find(number: number): Promise<Entry | undefined> {
    return getJson(this.store, this.#path(number));
  }

  /** Those of numbers [from, to), which have to be there. */
  async read(from: number, to: number): Promise<Entry[]> {
    const numbers = Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
    return mapAll(numbers, async (number) => {
      const entry = await this.find(number);
      if (entry === undefined) throw damaged(this.store, this.#path(number), 'is gone');
      return entry;
    });
  }

  /** False: another has put this number. */
  append(number: number, entry: Entry): Promise<boolean> {
    return putJson(this.store, this.#path(number), entry);
  }

  #path(number: number): string {
    return `${this.folder}/${digits(number)}.json`;
  }
}
