import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DestinationSession, MalformedRow, Row, RowStream } from '../../src/connectors/types.js';
import type { Partition, Receipt, TableRecord, TableSpec } from '../../src/core/model.js';
import { rowsConnector, rowStream } from '../support/rows-source.js';
import { code, newMeter, Scene, writerOf, type Fixture } from './fixture.js';

const COLUMNS = ['id', 'note'];
const QUERIES: readonly Partition[] = [0, 1].map((ordinal) => ({
  ordinal,
  label: `q${ordinal}`,
  predicate: 'a query',
}));

/** What becomes of rows that a source could not decode. `aside`: they can be set aside. */
export function rejectsContract(fixtureOf: () => Fixture, { aside }: { readonly aside: boolean }): void {
  describe('malformed rows', () => {
    function scene(max?: number): Scene {
      const source = rowsConnector({
        declared: { id: 'int', note: 'text' },
        formats: ['rows'],
        open: () => rowStream(COLUMNS, []),
      });
      const spec: TableSpec = {
        ...{ table: 'erp.items', to: `public.rejects_${randomUUID().slice(0, 8)}`, mode: 'replace' as const },
        ...{ partition: { by: 'auto' as const }, queries: QUERIES.map(({ label }) => ({ id: label, sql: 'a query' })) },
        ...(max !== undefined && { rejects: { max } }),
      };
      return new Scene({ ...fixtureOf(), source }, `run-${randomUUID()}`, spec);
    }

    async function begun(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
      const session = await s.destination();
      const record = await s.open(session);
      await session.prepare(record);
      await session.ledger.putPlan(record, { partitions: QUERIES, reason: 'queries' });
      return { session, record };
    }

    /** `good` rows with ids from `from` on, and `bad` malformed ones among them. */
    function stream(from: number, good: number, bad: number): RowStream {
      const rows = Array.from({ length: good }, (_, index): Row => [from + index, `note ${from + index}`]);
      const malformed = Array.from({ length: bad }, (_, index): MalformedRow => {
        const place = { file: 'part-3.csv', line: from + index + 1 };
        return { raw: `${from + index};?`, place, error: 'it has 1 field, and there are 2 columns' };
      });
      return rowStream(COLUMNS, [
        { rows: rows.slice(0, 2), malformed: malformed.slice(0, 1) },
        { rows: rows.slice(2), malformed: malformed.slice(1) },
      ]);
    }

    async function copy(
      session: DestinationSession,
      record: TableRecord,
      ordinal: number,
      rows: RowStream,
    ): Promise<Receipt> {
      await using writer = await writerOf(session.begin(record, QUERIES[ordinal]!, 1));
      await writer.load(rows, newMeter());
      return await writer.commit(await rows.rows);
    }

    it('are an error, and nothing of their partition is written', async () => {
      await using s = scene();
      const { session, record } = await begun(s);
      await expect(copy(session, record, 0, stream(0, 5, 1))).rejects.toEqual(code('DataRejected'));
      expect(await session.ledger.totals(s.run, s.spec.table, 9)).toMatchObject({
        committed: 0,
        rows: 0,
        missing: [0, 1],
      });
    });

    it.runIf(aside)('are set aside where the job asks for it, and counted: read = written + set aside', async () => {
      await using s = scene(3);
      const { session, record } = await begun(s);
      expect(await copy(session, record, 0, stream(0, 5, 3))).toMatchObject({ rows: 5, quarantined: 3 });
      const plain = await copy(session, record, 1, stream(10, 4, 0));
      expect(plain).toMatchObject({ rows: 4 });
      expect(plain).not.toHaveProperty('quarantined');
      const place = (line: number) => ({ partition: 0, file: 'part-3.csv', line, raw: `${line - 1};?` });
      expect(await fixtureOf().rejects(s.run)).toEqual([place(1), place(2), place(3)]);
      await s.buildAll(session, record);
      expect(await session.publish(record, newMeter())).toMatchObject({ committed: 2, rows: 9, quarantined: 3 });
      expect(await s.visible()).toEqual([0, 1, 2, 3, 4, 10, 11, 12, 13]);
      const [run] = await session.ledger.runs({ run: s.run });
      expect(run?.tables).toMatchObject([{ rows: 9, quarantined: 3 }]);
      expect(run?.sums).toMatchObject([{ rows: 9, quarantined: 3 }]);
      expect(await session.ledger.receipts(s.run, s.spec.table, 0, 2)).toMatchObject([{ quarantined: 3 }, { rows: 4 }]);
      expect(await session.ledger.forget(s.run)).toBe(true);
      expect(await fixtureOf().rejects(s.run)).toEqual([]);
    });

    it.runIf(aside)('are not set aside by an attempt that does not commit', async () => {
      await using s = scene(3);
      const { session, record } = await begun(s);
      const writer = await writerOf(session.begin(record, QUERIES[0]!, 1));
      await writer.load(stream(0, 5, 2), newMeter());
      await expect(writer.commit(8)).rejects.toEqual(code('CountMismatch'));
      await writer[Symbol.asyncDispose]();
      expect(await fixtureOf().rejects(s.run)).toEqual([]);
      expect(await copy(session, record, 0, stream(0, 5, 2))).toMatchObject({ rows: 5, quarantined: 2 });
      expect(await fixtureOf().rejects(s.run)).toHaveLength(2);
    });

    it.runIf(aside)('that are more than the job allows end the attempt, and none is set aside', async () => {
      await using s = scene(2);
      const { session, record } = await begun(s);
      await expect(copy(session, record, 0, stream(0, 5, 3))).rejects.toEqual(code('TooManyRejects'));
      expect(await session.ledger.totals(s.run, s.spec.table, 9)).toMatchObject({ committed: 0, rows: 0 });
      expect(await fixtureOf().rejects(s.run)).toEqual([]);
    });
  });
}
