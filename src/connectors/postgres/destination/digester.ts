import { digestOf, type Digested } from '../../../core/digest.js';
import type { Partition, TableRecord } from '../../../core/model.js';
import type { DigestForm, TableDigester } from '../../digester.js';
import { formName, targetExpressions } from '../digest/columns.js';
import { divisible, rangeOf } from '../digest/divide.js';
import { hashingOf, PostgresDigester } from '../digest/digester.js';
import type { PgSession } from '../session.js';
import { describeColumns } from '../shape.js';
import { quoteRelation, requireRelation, type Relation } from '../sql.js';
import { transaction } from './queries.js';
import { stagingIn } from './staging-name.js';
import { findRelation } from './target.js';
import { targetChanged } from './target-changed.js';

/** Where a table's rows are: in staging until it is published, and in the target from the first where nothing is staged. */
async function rowsOf(session: PgSession, record: TableRecord): Promise<Relation & { oid: number }> {
  const staging = record.state === 'published' ? undefined : stagingIn(record);
  const place = staging ?? requireRelation(record.spec.to);
  const oid = await findRelation(session, place);
  if (oid !== undefined) return { ...place, oid };
  throw targetChanged(session, record, [
    staging === undefined ? `${record.spec.to} is gone` : `its staging ${record.staging} is gone`,
  ]);
}

/** See `DestinationSession.digestForm`. */
export function digestForm(session: PgSession, record: TableRecord): Promise<DigestForm> {
  return transaction(session, async () => {
    const found = await describeColumns(session, await rowsOf(session, record));
    const columns = new Map(found.map(({ maySelect: _, ...column }) => [column.name, column]));
    return record.columns.map((name) => {
      const column = columns.get(name);
      if (column === undefined) throw targetChanged(session, record, [`column "${name}" is gone`]);
      return column;
    });
  });
}

/** Digests all of a table, or what of it the partitions' predicates find, each in a transaction of its own. */
export class PostgresTableDigester extends PostgresDigester implements TableDigester {
  constructor(
    session: PgSession,
    private readonly record: TableRecord,
    private readonly columns: DigestForm,
  ) {
    const names = columns.map(({ name }) => name);
    const hashing = hashingOf(formName(columns), names, targetExpressions(columns), record.shape.primaryKey);
    super(session, hashing, (partition, work) => this.#over((rows) => work(`${rows} WHERE ${this.#range(partition)}`)));
  }

  whole(): Promise<Digested> {
    return this.#over((rows) => this.sum(rows));
  }

  /** Ranges are disjoint, so that the first that a row is in is the only one. */
  async each(partitions: readonly Partition[]): Promise<readonly Digested[]> {
    const ranges = partitions.map((partition) => `(${this.#range(partition)})`);
    const part = `CASE ${ranges.map((range, index) => `WHEN ${range} THEN ${index}`).join(' ')} END`;
    const sums = await this.#over((rows) => this.sums(part, `${rows} WHERE ${ranges.join(' OR ')}`));
    const none: Digested = { rows: 0, digest: digestOf(this.hashing.form, '0') };
    return partitions.map((_, index) => sums.get(index) ?? none);
  }

  undivided(first: Partition, last: Partition): string | undefined {
    return divisible(this.record, this.columns, [first, last]);
  }

  #range(partition: Partition): string {
    return rangeOf(this.record.spec, partition)!;
  }

  #over<T>(work: (rows: string) => Promise<T>): Promise<T> {
    return transaction(this.session, async () => work(quoteRelation(await rowsOf(this.session, this.record))));
  }
}
