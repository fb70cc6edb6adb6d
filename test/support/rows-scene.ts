import { randomUUID } from 'node:crypto';
import type { DestinationSession, SourceStream } from '../../src/connectors/types.js';
import type { Partition, Receipt, TableRecord, TableSpec } from '../../src/core/model.js';
import { newMeter, Scene, writerOf } from '../contract/fixture.js';
import type { PostgresFixture } from '../contract/postgres-fixture.js';
import { runSql } from './postgres.js';
import { rowsConnector, rowsOf, type RowsSource } from './rows-source.js';

/** Rows of one query on their way into a table of Postgres. */

let tables = 0;

export const QUERY: Partition = { ordinal: 0, label: 'q017', predicate: 'a query' };

export interface RowsScene {
  readonly source: Omit<RowsSource, 'open'> & Partial<RowsSource>;
  readonly spec?: Partial<TableSpec>;
  /** A table at the destination, as its columns. */
  readonly target?: string;
}

/** Of a table of its own. */
export async function rowsScene(fixture: PostgresFixture, { source, spec: more, target }: RowsScene): Promise<Scene> {
  const to = `public.rows_${++tables}`;
  if (target !== undefined) await runSql(fixture.destinationUrl, `CREATE TABLE ${to} (${target})`);
  const spec: TableSpec = {
    ...{ table: 'erp.items', to, mode: 'replace' as const, partition: { by: 'auto' as const } },
    ...{ queries: [{ id: 'q017', sql: 'a query' }], ...more },
  };
  const given = rowsConnector({ open: () => rowsOf([], []), ...source });
  return new Scene({ ...fixture, source: given }, `run-${randomUUID()}`, spec);
}

export async function begun(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
  const session = await s.destination();
  const record = await s.open(session);
  await session.prepare(record);
  await session.ledger.putPlan(record, { partitions: [QUERY], reason: 'one query' });
  return { session, record };
}

/** One partition, loaded and committed. */
export async function copied(s: Scene, stream: SourceStream): Promise<{ receipt: Receipt; record: TableRecord }> {
  const { session, record } = await begun(s);
  await using writer = await writerOf(session.begin(record, QUERY, 1));
  const meter = newMeter();
  await writer.load(stream, meter);
  return { receipt: await writer.commit(await stream.rows), record };
}
