import type { Mode } from '../../core/model.js';
import type { NamedType } from '../lake/format.js';
import type { ObjectStore } from '../objects/store.js';

/**
 * The states of a table, one entry for each step: `_longhaul/versions/<number>.json`, created if absent, so that of two publishers
 * of a number one wins and the other looks again. What a table is made of is in its entries from the last `replace` on.
 */
export type Entry = PublishedEntry | ClosedEntry;

interface Named {
  readonly run: string;
  readonly table: string;
  readonly epoch: number;
  /** Of the attempt that wrote it: no two entries have the same bytes. */
  readonly token: string;
}

export interface PublishedEntry extends Named {
  readonly kind: 'published';
  readonly mode: Mode;
  readonly publishedAt: string;
  readonly columns: readonly NamedType[];
  readonly rows: number;
  /** Paths from the store's root. */
  readonly files: readonly string[];
  /**
   * In an append with a number that `isWhole`: what the table was made of before it. So nobody has to read all the appends of years.
   * Absent: it was made of nothing, or this is to be read from the entries.
   */
  readonly before?: Content;
}

/** What a table is made of. */
export interface Content {
  /** In the order in which they came. */
  readonly files: readonly string[];
  /** The number of the entry that began it: the last `replace`, or the table's first. */
  readonly start: number;
}

/** No publisher of this run and table with this epoch or an earlier one may publish any more. */
export interface ClosedEntry extends Named {
  readonly kind: 'closed';
}

const DIGITS = 10;
const NAME = /^(\d{10})\.json$/;

/** Every so many entries one tells the whole content. */
const WHOLE = 64;

export function isWhole(number: number): boolean {
  return number % WHOLE === 0;
}

export class Versions {
  readonly #folder: string;

  constructor(
    private readonly store: ObjectStore,
    table: string,
  ) {
    this.#folder = `${table}/_longhaul/versions/`;
  }

  /** The number of the last entry; 0: there is none. `since`: it is known that this number is there. */
  async last(since = 0): Promise<number> {
    let last = since;
    for await (const page of this.store.list(this.#folder, since > 0 ? this.#path(since) : undefined)) {
      const numbers = page.map(({ path }) => NAME.exec(path.slice(this.#folder.length))?.[1]);
      last = Number(numbers.findLast((number) => number !== undefined) ?? last);
    }
    return last;
  }

  /** False when there is an entry of that number. */
  put(number: number, entry: Entry): Promise<boolean> {
    return this.store.putIfAbsent(this.#path(number), Buffer.from(JSON.stringify(entry)));
  }

  /** From the newest, or `from`, to the oldest one after `since`. */
  async *backwards(from?: number, since = 0): AsyncGenerator<{ readonly number: number; readonly entry: Entry }> {
    for (let number = from ?? (await this.last()); number > since; number--)
      yield { number, entry: await this.#read(number) };
  }

  /** The last publish up to this version. */
  async newest(upTo?: number): Promise<PublishedEntry | undefined> {
    for await (const { entry } of this.backwards(upTo)) if (entry.kind === 'published') return entry;
    return undefined;
  }

  /** What the table is made of at this version, or at the newest. Undefined: there is no table. */
  async content(upTo?: number): Promise<Content | undefined> {
    const parts: (readonly string[])[] = [];
    let start: number | undefined;
    for await (const { number, entry } of this.backwards(upTo)) {
      if (entry.kind !== 'published') continue;
      parts.unshift(entry.files);
      start = number;
      if (entry.mode === 'replace') break;
      if (entry.before === undefined) continue;
      parts.unshift(entry.before.files);
      start = entry.before.start;
      break;
    }
    return start === undefined ? undefined : { files: parts.flat(), start };
  }

  /** When an entry that is there was put, in ms since 1970. */
  async writtenAt(number: number): Promise<number> {
    return (await this.store.head(this.#path(number)))!.modifiedAt.getTime();
  }

  async #read(number: number): Promise<Entry> {
    const bytes = await this.store.get(this.#path(number));
    return JSON.parse(Buffer.from(bytes!).toString()) as Entry;
  }

  #path(number: number): string {
    return `${this.#folder}${String(number).padStart(DIGITS, '0')}.json`;
  }
}
