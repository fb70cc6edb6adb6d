import { describe, expect, it } from 'vitest';
import type { DestinationSession } from '../../src/connectors/types.js';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, writerOf, type Scene } from './fixture.js';
import type { SceneOptions } from './ledger-suite.js';

const EACH = ROWS / PARTITIONS;

/** The part of the connector contract that lets a person go on without a partition. `direct`: with `publish: partition`. */
export function skipContract(scene: (options?: SceneOptions) => Scene, { direct }: { readonly direct: boolean }): void {
  describe('a skipped partition', () => {
    const totals = ({ ledger }: DestinationSession, s: Scene) => ledger.totals(s.run, s.spec.table, 10);

    it('has a receipt that says so, put once; an attempt that begins later gets it and writes nothing', async () => {
      await using s = scene();
      const [session, late] = [await s.destination(), await s.destination()];
      const record = await s.begun(session);
      const receipt = await session.ledger.skip(record, s.partition(1), 3);
      expect(receipt).toMatchObject({ ordinal: 1, state: 'skipped', rows: 0, bytes: 0, attempt: 3 });
      expect(await session.ledger.skip(record, s.partition(1), 4)).toEqual(receipt);
      expect(await late.begin(record, s.partition(1), 1)).toEqual(receipt);
      expect(await totals(session, s)).toEqual({ committed: 0, skipped: 1, rows: 0, bytes: 0, missing: [0, 2, 3] });
      expect(await session.ledger.pending(s.run, s.spec.table, 0, 3)).toEqual([0, 2]);
      expect(await session.ledger.receipts(s.run, s.spec.table, 0, PARTITIONS)).toEqual([receipt]);
    });

    it('is taken from a zombie in the middle of it, which can not commit any more', async () => {
      await using s = scene();
      const [zombie, session] = [await s.destination(), await s.destination()];
      const record = await s.begun(session);
      const sleeping = await writerOf(zombie.begin(record, s.partition(0), 1));
      const read = await s.load(sleeping, record, s.partition(0));
      expect((await session.ledger.skip(record, s.partition(0), 1)).state).toBe('skipped');
      await expect(sleeping.commit(read)).rejects.toEqual(code('ConnectionFailed'));
      await sleeping[Symbol.asyncDispose]();
      expect(await totals(session, s)).toMatchObject({ committed: 0, skipped: 1, rows: 0 });
    });

    it('stays committed when it is: the answer is the receipt of the commit', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      const committed = await s.copy(session, record, 2);
      expect(await session.ledger.skip(record, s.partition(2), 1)).toEqual(committed);
      expect(await totals(session, s)).toMatchObject({ committed: 1, skipped: 0, rows: EACH });
    });

    it('does not pass for another predicate of the same number', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      const other = { ...s.partition(0), predicate: s.fixture.range(0, 300) };
      await s.copy(session, record, 0);
      await expect(session.ledger.skip(record, other, 1)).rejects.toEqual(code('PlanChanged'));
      await session.ledger.skip(record, s.partition(1), 1);
      await expect(session.begin(record, { ...other, ordinal: 1 }, 1)).rejects.toEqual(code('PlanChanged'));
      expect(await totals(session, s)).toMatchObject({ committed: 1, skipped: 1 });
    });

    it.each(['suspended', 'discarded'] as const)('is none of a run that was %s meanwhile', async (state) => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      await session.ledger.closeRun(s.run, state);
      await expect(session.ledger.skip(record, s.partition(0), 1)).rejects.toEqual(code('RunClosed'));
      expect(await totals(session, s)).toMatchObject({ skipped: 0 });
    });

    it('is forgotten, and asked for again, when its table starts over', async () => {
      await using s = scene({ consistency: 'snapshot' });
      const session = await s.destination();
      const record = await s.begun(session);
      await session.ledger.skip(record, s.partition(0), 1);
      await session.ledger.startOver({ run: s.run, snapshot: 1 });
      await expect(session.ledger.skip(record, s.partition(1), 1)).rejects.toEqual(code('RunClosed'));
      expect(await totals(session, s)).toMatchObject({ skipped: 0 });
    });

    it('is left out of what is published, and of its sums, for good', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      await session.ledger.skip(record, s.partition(1), 1);
      const [open] = await session.ledger.runs({ run: s.run });
      expect(open).toMatchObject({ sums: [{ skipped: 1 }], tables: [{ committed: 0, skipped: 1, rows: 0 }] });
      await s.copyAll(session, record);
      await s.buildAll(session, record);
      const published = { committed: 3, skipped: 1, rows: 3 * EACH };
      expect(await session.publish(record, newMeter())).toMatchObject({ ...published, missing: [] });
      expect(await s.visible()).toEqual(ALL_IDS.filter((id) => id < EACH || id >= 2 * EACH));
      const [after] = await session.ledger.runs({ run: s.run });
      expect(after).toMatchObject({ sums: [{ rows: 3 * EACH, skipped: 1 }], tables: [published] });
    });

    it.runIf(direct)('is no visible one, and no append', async () => {
      await using s = scene({ mode: 'append', publish: 'partition' });
      const session = await s.destination();
      await session.prepare(await s.openAs(session, 'nightly'));
      const record = await session.ledger.table(s.run, s.spec.table);
      await session.ledger.putPlan(record, { partitions: s.partitions(), reason: 'four' });
      await session.ledger.skip(record, s.partition(1), 1);
      await session.ledger.closeRun(s.run, 'suspended');
      expect(await session.ledger.usesOf({ name: 'nightly' }, [s.spec])).toEqual([]);
      await s.openAs(session, 'nightly', { resume: true });
      await s.copy(session, record, 0);
      await s.copy(session, record, 2);
      const [found] = await session.ledger.runs({ run: s.run });
      const ranges = [
        [0, 0],
        [2, 2],
      ];
      expect(found!.tables).toMatchObject([{ committed: 2, skipped: 1, visible: ranges }]);
    });
  });
}
