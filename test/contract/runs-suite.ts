import { describe, expect, it } from 'vitest';
import type { DestinationSession } from '../../src/connectors/types.js';
import { addDigested } from '../../src/core/digest.js';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, writerOf, type Scene } from './fixture.js';
import type { SceneOptions } from './ledger-suite.js';

/**
 * The part of the connector contract that is about rows visible before the end, and about what runs leave behind. `direct`: with
 * `publish: partition`.
 */
export function runsContract(
  scene: (options?: SceneOptions) => Scene,
  createTarget: (to: string) => Promise<void>,
  can: { readonly direct: boolean; readonly digests: boolean },
): void {
  describe.runIf(can.direct)('publish: partition', () => {
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

    /** Copies all to a table that takes the place of what is there. */
    const replace = async (to: string, session: DestinationSession) => {
      await using other = scene({ to });
      const record = await other.begun(session);
      await other.copyAll(session, record);
      await other.buildAll(session, record);
      await session.publish(record, newMeter());
    };

    it('is not resumed into another table of the same name', async () => {
      await using s = direct();
      const session = await s.destination();
      const record = await s.begunInto(session);
      await s.copy(session, record, 0);
      await session.ledger.closeRun(s.run, 'suspended');
      await replace(s.spec.to, session);
      await expect(s.open(session, true)).rejects.toEqual(code('ResumeRefused'));
      await expect(s.open(session, true)).rejects.toThrow('another table than the one');
    });

    it('is not closed as published when another table took the place of the one with its rows', async () => {
      await using s = direct();
      const session = await s.destination();
      const record = await s.begunInto(session);
      await s.copyAll(session, record);
      const before = await s.checked();
      await session.ledger.closeRun(s.run, 'suspended');
      await replace(s.spec.to, session);
      await session.ledger.openRun({ run: s.run, job: 'contract' }, [before], { resume: true });
      await expect(session.publish(record, newMeter())).rejects.toEqual(code('TargetChanged'));
      expect((await session.ledger.table(s.run, s.spec.table)).state).not.toBe('published');
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
      const [record] = await session.ledger.openRun(run, [await s.checked()]);
      await session.prepare(record!);
      await session.ledger.putPlan(s, { partitions: s.partitions(), reason: 'four' });
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
      const { changedAt, staging, rows } = overview!.tables[0]!;
      const sums = {
        state: 'suspended',
        tables: 1,
        rows,
        skipped: 0,
        stagingBytes: staging!.bytes,
        changedAt,
        stagedSince: changedAt,
      };
      expect(overview!.sums).toEqual([sums]);
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

  it('of a run of many tables only so many are read as were asked for, and the sums are of all', async () => {
    await using s = scene();
    const session = await s.destination();
    const table = await s.checked();
    const others = [1, 2].map((i) => ({ ...table, spec: { ...s.spec, table: `other_${i}`, to: `${s.spec.to}_${i}` } }));
    await session.ledger.openRun({ run: s.run, job: 'contract' }, [table, ...others]);
    const [all] = await session.ledger.runs({ run: s.run });
    expect(all!.sums).toMatchObject([{ state: 'open', tables: 3, rows: 0, stagingBytes: 0 }]);
    expect(await session.ledger.runs({ run: s.run, tables: 2 })).toEqual([{ ...all, tables: all!.tables.slice(0, 2) }]);
  });

  describe('a run that changed since it was listed', () => {
    const listed = async ({ ledger }: DestinationSession, run: string) =>
      (await ledger.runs({ run }))[0]!.tables[0]!.changedAt;

    for (const from of ['open', 'suspended'] as const) {
      it(`is not closed on the strength of that: it was ${from}, and is resumed`, async () => {
        await using s = scene();
        const session = await s.destination();
        await s.begun(session);
        if (from === 'suspended') await session.ledger.closeRun(s.run, 'suspended');
        const unchangedSince = await listed(session, s.run);
        await expect.poll(() => new Date().toISOString()).not.toBe(unchangedSince);
        await s.open(session, true);
        expect(await session.ledger.closeRun(s.run, 'discarded', { unchangedSince })).toBe(false);
        expect(await session.ledger.tables(s.run)).toMatchObject([{ state: 'open' }]);
        const now = { unchangedSince: await listed(session, s.run) };
        expect(await session.ledger.closeRun(s.run, 'discarded', now)).toBe(true);
        expect(await session.ledger.tables(s.run)).toMatchObject([{ state: 'discarded' }]);
        // A retry of the call that closed it.
        expect(await session.ledger.closeRun(s.run, 'discarded', { unchangedSince })).toBe(true);
      });
    }
  });

  describe.runIf(can.direct)('what is forgotten', () => {
    it('is not that rows were appended, where they are visible though their table was discarded', async () => {
      await using s = scene({ mode: 'append', publish: 'partition' });
      const session = await s.destination();
      await session.prepare(await s.openAs(session, 'nightly'));
      const record = await session.ledger.table(s.run, s.spec.table);
      await session.ledger.putPlan(record, { partitions: s.partitions(), reason: 'four' });
      await s.copy(session, record, 2);
      await session.ledger.closeRun(s.run, 'discarded');
      const before = await session.ledger.runs({ run: s.run });
      expect(await session.ledger.forget(s.run)).toBe(true);
      const uses = await session.ledger.usesOf({ name: 'nightly' }, [s.spec]);
      expect(uses).toMatchObject([{ use: 'appended', run: s.run }]);
      const [after] = await session.ledger.runs({ run: s.run });
      expect(after!.tables).toEqual(before[0]!.tables);
      expect(after!.tables).toMatchObject([{ committed: 1, visible: [[2, 2]] }]);
    });
  });

  describe('a run under a snapshot', () => {
    const underSnapshot = () => scene({ consistency: 'snapshot' });

    it('keeps the first word on when a snapshot was taken', async () => {
      await using s = underSnapshot();
      const { ledger } = await s.destination();
      const { snapshot } = await s.open(await s.destination());
      expect(snapshot).toBe(1);
      const key = { run: s.run, snapshot: 1 };
      expect(await ledger.snapshot(key)).toBeUndefined();
      const taken = await ledger.putSnapshot(key);
      expect(await ledger.putSnapshot(key)).toEqual(taken);
      expect(await ledger.snapshot(key)).toEqual(taken);
      expect(await ledger.snapshot({ ...key, snapshot: 2 })).toBeUndefined();
    });

    it('starts over: receipts, plan and staging of the first are gone, and nothing of it commits any more', async () => {
      await using s = underSnapshot();
      const [session, other] = [await s.destination(), await s.destination()];
      const first = await s.begun(session);
      await s.copy(session, first, 0);
      {
        await using writer = await writerOf(session.begin(first, s.partition(1), 1));
        const read = await s.load(writer, first, s.partition(1));
        const [again] = await other.ledger.startOver({ run: s.run, snapshot: 1 });
        expect(again).toMatchObject({ snapshot: 2, state: 'open' });
        expect(again!.staging).not.toBe(first.staging);
        await expect(writer.commit(read)).rejects.toEqual(code('RunClosed'));
      }
      await expect(session.prepare(first)).rejects.toEqual(code('RunClosed'));
      await expect(session.begin(first, s.partition(2), 1)).rejects.toEqual(code('RunClosed'));
      await expect(session.publish(first, newMeter())).rejects.toEqual(code('RunClosed'));
      const late = session.ledger.putPlan(first, { partitions: s.partitions(), reason: 'under the first' });
      await expect(late).rejects.toEqual(code('RunClosed'));
      expect(await session.ledger.plan(s.run, s.spec.table)).toBeUndefined();
      expect((await session.ledger.totals(s.run, s.spec.table, 10)).committed).toBe(0);
      const second = await s.begun(session);
      expect(second.snapshot).toBe(2);
      await s.copyAll(session, second);
      await s.buildAll(session, second);
      await session.publish(second, newMeter());
      expect(await s.visible()).toEqual(ALL_IDS);
    });

    it('starts over once for one loss, and never what is published', async () => {
      await using s = underSnapshot();
      const session = await s.destination();
      const record = await s.begun(session);
      const key = { run: s.run, snapshot: 1 };
      for (let call = 0; call < 2; call++) expect(await session.ledger.startOver(key)).toMatchObject([{ snapshot: 2 }]);
      await session.ledger.startOver({ run: s.run, snapshot: 2 });
      const third = await s.begun(session);
      expect(third.staging).not.toBe(record.staging);
      await s.copyAll(session, third);
      await s.buildAll(session, third);
      await session.publish(third, newMeter());
      expect(await session.ledger.startOver({ run: s.run, snapshot: 3 })).toMatchObject([
        { snapshot: 3, state: 'published' },
      ]);
    });

    it('starts over when it is resumed', async () => {
      await using s = underSnapshot();
      const session = await s.destination();
      const record = await s.begun(session);
      await s.copy(session, record, 0);
      expect(await s.open(session)).toMatchObject({ snapshot: 1 });
      await session.ledger.closeRun(s.run, 'suspended');
      expect(await s.open(session, true)).toMatchObject({ snapshot: 2, state: 'open' });
      expect((await session.ledger.totals(s.run, s.spec.table, 10)).committed).toBe(0);
    });
  });

  describe.runIf(can.digests)('digests', () => {
    it('of partitions add up to what was loaded, and are kept with the receipts', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      const form = await session.digestForm!(record);
      const target = session.digester!(record, form);
      const parts = [];
      for (const partition of s.partitions()) {
        const source = await s.source();
        await using writer = await writerOf(session.begin(record, partition, 1));
        const stream = await source.stream(record, partition);
        await writer.load(stream, newMeter());
        const digested = await source.digester!(record, form).digest(partition);
        expect(digested.rows).toBe(await stream.rows);
        expect((await writer.commit(digested.rows, digested.digest)).digest).toBe(digested.digest);
        parts.push(digested);
      }
      expect(await target.whole()).toEqual(addDigested(target.form, parts));
      const receipts = await session.ledger.receipts(s.run, s.spec.table, 1, 3);
      expect(receipts.map(({ ordinal, digest }) => [ordinal, digest])).toEqual([
        [1, parts[1]!.digest],
        [2, parts[2]!.digest],
      ]);
    });

    it('of buckets add up to their partition, and rows are found in theirs', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      const source = (await s.source()).digester!(record, await session.digestForm!(record));
      const buckets = await source.buckets(s.partition(0), 3);
      const whole = await source.digest(s.partition(0));
      expect(addDigested(source.form, [...buckets.values()])).toEqual(whole);
      const rows = await source.rows(s.partition(0), { of: 3, index: 1 }, 1_000);
      expect(rows).toHaveLength(buckets.get(1)!.rows);
      expect(await source.rows(s.partition(0), { of: 3, index: 1 }, 5)).toEqual(rows.slice(0, 5));
    });
  });
}
