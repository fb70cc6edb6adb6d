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
}

/** No publisher of this run and table with this epoch or an earlier one may publish any more. */
export interface ClosedEntry extends Named {
  readonly kind: 'closed';
}

const DIGITS = 10;
const NAME = /^(\d{10})\.json$/;

export class Versions {
  readonly #folder: string;

  constructor(
    private readonly store: ObjectStore,
    table: string,
  ) {
    this.#folder = `${table}/_longhaul/versions/`;
  }

  /** The number of the last entry; 0: there is none. */
  async last(): Promise<number> {
    let last = 0;
    for await (const page of this.store.list(this.#folder)) {
      const numbers = page.map(({ path }) => NAME.exec(path.slice(this.#folder.length))?.[1]);
      last = Number(numbers.findLast((number) => number !== undefined) ?? last);
    }
    return last;
  }

  async read(number: number): Promise<Entry> {
    const bytes = await this.store.get(this.#path(number));
    return JSON.parse(Buffer.from(bytes!).toString()) as Entry;
  }

  /** False when there is an entry of that number. */
  put(number: number, entry: Entry): Promise<boolean> {
    return this.store.putIfAbsent(this.#path(number), Buffer.from(JSON.stringify(entry)));
  }

  /** From the newest to the oldest. */
  async *backwards(from?: number): AsyncGenerator<Entry> {
    for (let number = from ?? (await this.last()); number > 0; number--) yield await this.read(number);
  }

  #path(number: number): string {
    return `${this.#folder}${String(number).padStart(DIGITS, '0')}.json`;
  }
}

/** The published entries that make up the table at its newest, the newest first. */
export async function current(versions: Versions): Promise<PublishedEntry[]> {
  const entries: PublishedEntry[] = [];
  for await (const entry of versions.backwards()) {
    if (entry.kind !== 'published') continue;
    entries.push(entry);
    if (entry.mode === 'replace') break;
  }
  return entries;
}
