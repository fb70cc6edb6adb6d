import { LonghaulError } from '../../../core/errors.js';
import type { Place } from '../../types.js';
import { placeText } from '../errors.js';
import type { Loading } from './load.js';

/** One row that is not written. `error` and `raw` hold values: they stay at the destination. */
export interface Reject {
  readonly place: Place;
  readonly raw: string;
  readonly error: string;
  /** What is wrong, without a value. */
  readonly kind: string;
}

/** Rows set aside by one attempt, in its transaction: they are there if and only if its receipt is. */
export class Quarantine {
  #count = 0;
  #first: Reject | undefined;
  #waiting: Reject[] = [];

  constructor(
    private readonly loading: Pick<Loading, 'session' | 'names' | 'record' | 'key' | 'label'>,
    private readonly max: number,
  ) {}

  get count(): number {
    return this.#count;
  }

  /** Throws TooManyRejects. */
  add(reject: Reject): void {
    this.#first ??= reject;
    this.#count += 1;
    if (this.#count > this.max) throw this.#tooMany();
    this.#waiting.push(reject);
  }

  /** Not within a savepoint that may be rolled back. */
  async flush(): Promise<void> {
    const rejects = this.#waiting;
    if (rejects.length === 0) return;
    this.#waiting = [];
    const { session, names, key } = this.loading;
    await session.query(
      `INSERT INTO ${names.rejects} (run, table_name, partition, number, file, line, error, raw)
       SELECT $1, $2, $3, $4 + number, file, line, error, raw
       FROM unnest($5::text[], $6::bigint[], $7::text[], $8::text[]) WITH ORDINALITY AS r(file, line, error, raw, number)`,
      [
        ...[key.run, key.table, key.ordinal, this.#count - rejects.length],
        rejects.map(({ place }) => storable(place.file)),
        rejects.map(({ place }) => place.line),
        rejects.map(({ error }) => storable(error)),
        rejects.map(({ raw }) => storable(raw)),
      ],
    );
  }

  #tooMany(): LonghaulError {
    const { record, label } = this.loading;
    const { place, kind } = this.#first!;
    const allowed = `rejects.max allows ${this.max.toLocaleString('en-US')}`;
    return new LonghaulError(
      'TooManyRejects',
      `Partition ${label} of ${record.spec.table}: ${this.#count.toLocaleString('en-US')} rows were refused so far, and ${allowed}; nothing of it was committed. The first (${placeText(place)}): ${kind}`,
      {
        next: 'Correct the data or the columns, then retry the partition. With a larger rejects.max, start the job anew.',
      },
    );
  }
}

/** Postgres has no text with NUL in it; the symbol of that name stands for it. */
function storable(text: string | undefined): string | null {
  return text?.replaceAll('\0', '\u2400') ?? null;
}
