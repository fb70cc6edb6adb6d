import { describe, expect, it } from 'vitest';
import type { LonghaulError } from '../../src/core/errors.js';
import type { Consistency, Mode } from '../../src/core/model.js';
import type { DestinationSession } from '../../src/connectors/types.js';
import { ALL_IDS, code, newMeter, PARTITIONS, type Scene } from './fixture.js';

/** Runs that are opened onto one target at the same time. */
const AT_ONCE = 6;

export interface SceneOptions {
  readonly mode?: Mode;
  readonly to?: string;
  readonly publish?: 'partition';
  readonly consistency?: Consistency;
}

/** The part of the connector contract that is the ledger's alone: plans, runs and leases. `scene` gives a new run, into a target of its own. */
export function ledgerContract(scene: (options?: SceneOptions) => Scene): void {
  /** Opens runs onto the same new target, at the same time; answers with the codes that all but one are refused with. */
  async function openedAtOnce(mode: Mode, name?: string): Promise<unknown[]> {
    const first = scene({ mode });
    const more = Array.from({ length: AT_ONCE - 1 }, () => scene({ mode, to: first.spec.to }));
    const all = [first, ...more];
    try {
      // All is ready before the first one opens: they meet in the ledger.
      const ready = [];
      for (const s of all) ready.push({ run: s.run, table: await s.checked(), session: await s.destination() });
      const job = { job: 'contract', ...(name !== undefined && { name }) };
      const opened = ready.map(({ run, table, session }) => session.ledger.openRun({ run, ...job }, [table]));
      const results = await Promise.allSettled(opened);
      return results.flatMap((each) => (each.status === 'rejected' ? [(each.reason as LonghaulError).code] : []));
    } finally {
      for (const s of all) await s[Symbol.asyncDispose]();
    }
  }

  describe('the plan', () => {
    it('is stored once: the second gets the first', async () => {
      await using s = scene();
      const session = await s.destination();
      await s.open(session);
      const first = { partitions: s.partitions(), reason: 'first', estimatedRows: 1_000 };
      const stored = { partitions: PARTITIONS, pages: 1, reason: 'first', estimatedRows: 1_000 };
      expect(await session.ledger.plan(s.run, s.spec.table)).toBeUndefined();
      expect(await session.ledger.putPlan(s, first)).toEqual(stored);
      const second = { partitions: [s.partition(0)], reason: 'second' };
      expect(await session.ledger.putPlan(s, second)).toEqual(stored);
      expect(await session.ledger.plan(s.run, s.spec.table)).toEqual(stored);
      expect(await session.ledger.partition(s.run, s.spec.table, 3)).toEqual(s.partition(3));
    });

    it('comes in pages', async () => {
      await using s = scene();
      const session = await s.destination();
      await s.open(session);
      const made = async function* () {
        for (let ordinal = 0; ordinal < 1_200; ordinal++) yield await Promise.resolve({ ...s.partition(0), ordinal });
      };
      const plan = await session.ledger.putPlan(s, { partitions: made(), reason: 'many' });
      expect(plan).toEqual({ partitions: 1_200, pages: 3, reason: 'many' });
      for (const ordinal of [0, 499, 500, 1_199]) {
        expect((await session.ledger.partition(s.run, s.spec.table, ordinal)).ordinal).toBe(ordinal);
      }
      await expect(session.ledger.partition(s.run, s.spec.table, 1_200)).rejects.toEqual(code('PlanChanged'));
      expect(await session.ledger.pending(s.run, s.spec.table, 1_198, 1_300)).toEqual([1_198, 1_199]);
      expect((await session.ledger.totals(s.run, s.spec.table, 3)).missing).toEqual([0, 1, 2]);
    });

    it('is not left in part when its source breaks', async () => {
      await using s = scene();
      const session = await s.destination();
      await s.open(session);
      const breaking = async function* () {
        for (let ordinal = 0; ordinal < 600; ordinal++) yield await Promise.resolve({ ...s.partition(0), ordinal });
        throw new Error('the source broke');
      };
      const put = session.ledger.putPlan(s, { partitions: breaking(), reason: 'broken' });
      await expect(put).rejects.toThrow('the source broke');
      const plan = { partitions: s.partitions(), reason: 'whole' };
      expect((await session.ledger.putPlan(s, plan)).partitions).toBe(PARTITIONS);
    });
  });

  describe('what became of partitions', () => {
    it('is told with their labels, of those that are asked for and planned', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      await s.copy(session, record, 1);
      const receipt = (await session.ledger.receipts(s.run, s.spec.table, 1, 2))[0]!;
      expect(receipt.state).toBe('committed');
      expect(await session.ledger.outcomes(s.run, s.spec.table, [3, 1, 99])).toEqual([
        { ordinal: 1, label: s.partition(1).label, receipt },
        { ordinal: 3, label: s.partition(3).label },
      ]);
      expect(await session.ledger.outcomes(s.run, s.spec.table, [])).toEqual([]);
    });
  });

  describe('what a target was published from', () => {
    const queries = [{ id: 'all', sql: 'SELECT 1' }];

    async function published(s: Scene, session: DestinationSession, queried: boolean): Promise<void> {
      const checked = await s.checked();
      const spec = queried ? { ...checked.spec, queries } : checked.spec;
      const [record] = await session.ledger.openRun({ run: s.run, job: 'contract' }, [{ ...checked, spec }]);
      await session.prepare(record!);
      await session.ledger.putPlan(record!, { partitions: s.partitions(), reason: 'four ranges' });
      await s.copyAll(session, record!);
      await s.buildAll(session, record!);
      await session.publish(record!, newMeter());
    }

    it('is the number of its last queries, also when the run was cleaned; nothing of the asking run, of appends, and of tables', async () => {
      await using first = scene();
      const session = await first.destination();
      const { to } = first.spec;
      const last = (run?: string) => session.ledger.lastPublished(run, [to, 'public.never']);
      expect(await last()).toEqual([]);
      await published(first, session, true);
      const found = [{ to, run: first.run, queries: PARTITIONS, publishedAt: expect.any(String) as string }];
      expect(await last()).toEqual(found);
      expect(await last(first.run)).toEqual([]);
      await using appended = scene({ mode: 'append' });
      await published(appended, session, true);
      expect(await session.ledger.lastPublished(undefined, [appended.spec.to])).toEqual([]);
      expect(await session.ledger.forget(first.run)).toBe(true);
      expect(await last()).toEqual(found);
      await using table = scene({ to });
      await published(table, session, false);
      expect(await last()).toEqual([]);
    });
  });

  describe('opening a run', () => {
    it('may be repeated, and gives the same', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.open(session);
      expect(record).toMatchObject({ run: s.run, state: 'open', columns: ['id', 'note'] });
      expect(await s.open(session)).toEqual(record);
      expect(await session.ledger.tables(s.run)).toEqual([record]);
      const runs = await session.ledger.runs();
      expect(runs.find(({ run }) => run === s.run)).toMatchObject({ job: 'contract', tables: [{ state: 'open' }] });
    });

    it('answers with the queries of a table only when asked for them', async () => {
      await using s = scene();
      const session = await s.destination();
      const queries = [{ id: 'all', sql: 'SELECT 1' }];
      const checked = await s.checked();
      const spec = { ...checked.spec, queries };
      await session.ledger.openRun({ run: s.run, job: 'contract' }, [{ ...checked, spec }]);
      const asked = await session.ledger.table(s.run, spec.table, { queries: true });
      expect(asked.spec).toEqual(spec);
      expect((await session.ledger.table(s.run, spec.table)).spec).toEqual({ ...spec, queries: [] });
      expect((await session.ledger.tables(s.run, { queries: true }))[0]!.spec).toEqual(spec);
      expect((await session.ledger.tables(s.run))[0]!.spec).toEqual({ ...spec, queries: [] });
    });

    it('leases the target: alone to replace, together to append', async () => {
      const modes = (first: Mode, second: Mode) => async () => {
        await using holder = scene({ mode: first });
        await using s = scene({ mode: second, to: holder.spec.to });
        await holder.open(await holder.destination());
        await s.open(await s.destination());
      };
      await expect(modes('replace', 'replace')()).rejects.toEqual(code('TargetLeased'));
      await expect(modes('replace', 'append')()).rejects.toEqual(code('TargetLeased'));
      await expect(modes('append', 'replace')()).rejects.toEqual(code('TargetLeased'));
      await modes('append', 'append')();
    });

    it('is won by one of two at once, and the target is free when that one is closed', async () => {
      await using one = scene();
      await using two = scene({ to: one.spec.to });
      const sessions = [await one.destination(), await two.destination()] as const;
      const results = await Promise.allSettled([one.open(sessions[0]), two.open(sessions[1])]);
      const refused = results.filter((result) => result.status === 'rejected');
      expect(refused.map(({ reason }) => reason as unknown)).toEqual([code('TargetLeased')]);
      const [winner, loser] = results[0].status === 'fulfilled' ? [one, two] : [two, one];
      await sessions[0].ledger.closeRun(winner.run, 'suspended');
      await loser.open(await loser.destination());
      await expect(winner.open(await winner.destination())).rejects.toEqual(code('TargetLeased'));
    });

    describe('that appends what a job of its name has appended', () => {
      const onto = (to: string) => scene({ mode: 'append', to });

      it('is refused, but for a name of its own, or again', async () => {
        await using first = scene({ mode: 'append' });
        await using second = onto(first.spec.to);
        await using third = onto(first.spec.to);
        const session = await second.destination();
        await first.openAs(await first.destination(), 'nightly');
        const refused = second.openAs(session, 'nightly');
        await expect(refused).rejects.toEqual(code('TargetAppended'));
        await expect(refused).rejects.toThrow(`(run ${first.run} of job contract`);
        expect(await session.ledger.tables(second.run)).toEqual([]);
        await second.openAs(session, 'other');
        await third.openAs(session, 'nightly', { again: true });
      });

      it('is won by one of many at once', async () => {
        expect(await openedAtOnce('append', 'nightly')).toEqual(Array(AT_ONCE - 1).fill('TargetAppended'));
      });

      it('is opened again while it is open, whoever has appended since; suspended, only again', async () => {
        await using first = scene({ mode: 'append' });
        await using second = onto(first.spec.to);
        const session = await first.destination();
        const record = await first.openAs(session, 'nightly');
        await second.openAs(session, 'nightly', { again: true });
        expect(await first.openAs(session, 'nightly')).toEqual(record);
        expect(await first.openAs(session, 'nightly', { resume: true })).toEqual(record);
        await session.ledger.closeRun(first.run, 'suspended');
        await expect(first.openAs(session, 'nightly', { resume: true })).rejects.toEqual(code('TargetAppended'));
        const resumed = await first.openAs(session, 'nightly', { resume: true, again: true });
        expect(resumed.state).toBe('open');
        await session.ledger.closeRun(first.run, 'suspended');
        await session.ledger.closeRun(second.run, 'suspended');
        expect((await first.openAs(session, 'nightly', { resume: true })).state).toBe('open');
      });
    });

    it('is won by one of many at once', async () => {
      expect(await openedAtOnce('replace')).toEqual(Array(AT_ONCE - 1).fill('TargetLeased'));
    });

    it('takes a suspended run up where it was', async () => {
      await using s = scene();
      const session = await s.destination();
      const record = await s.begun(session);
      await s.copy(session, record, 0);
      await session.ledger.closeRun(s.run, 'suspended');
      await session.ledger.closeRun(s.run, 'suspended');
      expect((await session.ledger.table(s.run, s.spec.table)).state).toBe('suspended');
      expect((await s.open(session, true)).state).toBe('open');
      await session.prepare(record);
      await s.copyAll(session, record);
      await s.buildAll(session, record);
      await session.publish(record, newMeter());
      expect(await s.visible()).toEqual(ALL_IDS);
      expect((await s.open(session, true)).state).toBe('published');
    });

    it('refuses to resume what is unknown or has changed', async () => {
      await using s = scene();
      const session = await s.destination();
      await expect(s.open(session, true)).rejects.toEqual(code('ResumeRefused'));
      await s.open(session);
      const checked = await s.checked();
      const reopen = (fingerprint: Record<string, string>) =>
        session.ledger.openRun({ run: s.run, job: 'contract' }, [{ ...checked, fingerprint }], { resume: true });
      const changed = reopen({ ...checked.fingerprint, specification: 'other' });
      await expect(changed).rejects.toEqual(code('ResumeRefused'));
      await expect(reopen({ ...checked.fingerprint, specification: 'other' })).rejects.toThrow(/specification/);
      await expect(session.ledger.openRun({ run: s.run, job: 'contract' }, [], { resume: true })).rejects.toEqual(
        code('ResumeRefused'),
      );
    });
  });
}
