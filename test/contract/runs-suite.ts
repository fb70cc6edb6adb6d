import { describe, expect, it } from 'vitest';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, writerOf, type Scene } from './fixture.js';
import type { SceneOptions } from './ledger-suite.js';

/** The part of the connector contract that is about rows visible before the end, and about what runs leave behind. */
export function runsContract(scene: (options?: SceneOptions) => Scene, createTarget: (to: string) => Promise<void>): void {
  describe('publish: partition', () => {
    const direct = (to?: string) =>
      scene({ mode: 'append', publish: 'partition', ...(to === undefined ? {} : { to }) });

    it('shows each partition when it commits, once, and publishing closes the table', async () => {
      await using s = direct();
      const session = await s.destination();
      await s.begun(session);
      const record = await session.ledger.table(s.run, s.spec.table);
      await session.prepare(record);
      expect(await s.visible()).toEqual([]);
      await s.copy(session, record, 1);
      expect(await s.visible()).toEqual(ALL_IDS.slice(250, 500));
      expect((await session.publish(record, newMeter())).missing).toEqual([0, 2, 3]);
      await s.copyAll(session, record);
      await s.copy(session, record, 1);
      expect(await session.buildSteps(record)).toEqual([]);
      const totals = await session.publish(record, newMeter());
      expect(totals).toMatchObject({ committed: PARTITIONS, rows: ROWS, missing: [] });
      expect(await (await s.destination()).publish(record, newMeter())).toEqual(totals);
      expect(await s.visible()).toEqual(ALL_IDS);
    });

    it('adds to what is there, beside another run', async () => {
      await using one = direct();
      const { to } = one.spec;
      await createTarget(to);
      await using two = direct(to);
      const sessions = [await one.destination(), await two.destination()] as const;
      const records = [await one.begun(sessions[0]), await two.begun(sessions[1])] as const;
      await one.copyAll(sessions[0], records[0]);
      await two.copyAll(sessions[1], records[1]);
      await sessions[0].publish(records[0], newMeter());
      await sessions[1].publish(records[1], newMeter());
      expect(await one.visible()).toHaveLength(2 * ROWS);
    });

    it('shows nothing of a zombie, nor of an attempt whose run was closed', async () => {
      await using s = direct();
      const [zombie, session] = [await s.destination(), await s.destination()];
      await s.begun(session);
      const record = await session.ledger.table(s.run, s.spec.table);
      const sleeping = await writerOf(zombie.begin(record, s.partition(0), 1));
      const read = await s.load(sleeping, record, s.partition(0));
      await using writer = await writerOf(session.begin(record, s.partition(0), 1));
      await expect(sleeping.commit(read)).rejects.toEqual(code('ConnectionFailed'));
      const loaded = await s.load(writer, record, s.partition(0));
      await (await s.destination()).ledger.closeRun(s.run, 'suspended');
      await expect(writer.commit(loaded)).rejects.toEqual(code('RunClosed'));
      expect(await s.visible()).toEqual([]);
      await sleeping[Symbol.asyncDispose]();
    });

    it('is resumed where it was, also into a target that it made', async () => {
      await using s = direct();
      const session = await s.destination();
      await s.begun(session);
      const record = await session.ledger.table(s.run, s.spec.table);
      await s.copy(session, record, 3);
      await session.ledger.closeRun(s.run, 'suspended');
      const resumed = await s.open(session, true);
      await session.prepare(resumed);
      await s.copyAll(session, resumed);
      await session.publish(resumed, newMeter());
      expect(await s.visible()).toEqual(ALL_IDS);
    });

    it('keeps visible rows when it is discarded, and says which they are', async () => {
      await using s = direct();
      const session = await s.destination();
      await s.begun(session);
      const record = await session.ledger.table(s.run, s.spec.table);
      for (const ordinal of [0, 1, 3]) await s.copy(session, record, ordinal);
      await session.ledger.closeRun(s.run, 'discarded');
      await session.discard(record);
      expect(await s.visible()).toHaveLength(750);
      const [overview] = await session.ledger.runs({ run: s.run });
      const visible = [[0, 1], [3, 3]]; // prettier-ignore
      expect(overview!.tables).toMatchObject([{ state: 'discarded', committed: 3, rows: 750, visible }]);
      expect(overview!.tables[0]!.staging).toBeUndefined();
    });
  });

  describe('housekeeping', () => {
    const suspended = async (s: Scene, keepStaging: number) => {
      const session = await s.destination();
      const run = { run: s.run, job: 'contract', keepStaging };
      const [record] = await session.ledger.openRun(run, [await s.checked()], false);
      await session.prepare(record!);
      await session.ledger.putPlan(s.run, s.spec.table, { partitions: s.partitions(), reason: 'four' });
      await s.copy(session, record!, 0);
      await session.ledger.closeRun(s.run, 'suspended');
      return { session, record: record! };
    };
    const DAY = 86_400_000;
    const runsOf = (found: readonly { run: string }[]) => found.map(({ run }) => run);

    it('discards staging whose time is over, of suspended tables of other runs alone', async () => {
      await using over = scene();
      await using kept = scene();
      await using open = scene();
      const { session, record } = await suspended(over, 1);
      await suspended(kept, DAY);
      await open.begun(await open.destination());
      await expect.poll(async () => runsOf(await session.ledger.expire('other'))).toContain(over.run);
      expect(runsOf(await session.ledger.expire('other'))).not.toContain(kept.run);
      expect(runsOf(await session.ledger.expire('other'))).not.toContain(open.run);
      expect(runsOf(await session.ledger.expire(over.run))).not.toContain(over.run);
      await session.discard(record);
      expect(runsOf(await session.ledger.expire('other'))).not.toContain(over.run);
      await expect(over.open(session, true)).rejects.toThrow(/keepStaging was over/);
      expect((await kept.open(session, true)).state).toBe('open');
    });

    it('shows runs with what they hold, the newest first', async () => {
      await using s = scene();
      const { session } = await suspended(s, DAY);
      const [overview] = await session.ledger.runs({ run: s.run });
      expect(overview).toMatchObject({ run: s.run, job: 'contract', keepStaging: DAY });
      const table = { state: 'suspended', partitions: PARTITIONS, committed: 1, rows: ROWS / PARTITIONS };
      expect(overview!.tables).toMatchObject([table]);
      expect(overview!.tables[0]!.staging!.bytes).toBeGreaterThan(0);
      expect(await session.ledger.runs({ limit: 1 })).toEqual([overview]);
      expect(await session.ledger.runs({ run: 'nobody' })).toEqual([]);
      expect(runsOf(await session.ledger.runs({ unchangedFor: DAY }))).not.toContain(s.run);
      await expect.poll(async () => runsOf(await session.ledger.runs({ unchangedFor: 1 }))).toContain(s.run);
    });

    it('forgets plan and receipts of a closed run, and nothing of an open one', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      await s.copyAll(session, record);
      await s.buildAll(session, record);
      expect(await session.ledger.forget(s.run)).toBe(false);
      await session.publish(record, newMeter());
      expect(await session.ledger.forget(s.run)).toBe(true);
      expect(await session.ledger.forget('nobody')).toBe(false);
      const [overview] = await session.ledger.runs({ run: s.run });
      expect(overview!.forgottenAt).toBeDefined();
      expect(overview!.tables).toMatchObject([{ state: 'published' }]);
      expect((await session.ledger.totals(s.run, s.spec.table, 1)).committed).toBe(0);
      expect(runsOf(await session.ledger.runs({ unchangedFor: 0 }))).not.toContain(s.run);
      await expect(s.open(session, true)).rejects.toEqual(code('ResumeRefused'));
      expect(await s.visible()).toEqual(ALL_IDS);
    });
  });
}
