import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Mode, TableSpec } from '../../src/core/model.js';
import { addDigested } from '../../src/core/digest.js';
import type { LonghaulError } from '../../src/core/errors.js';
import { ALL_IDS, newMeter, PARTITIONS, ROWS, Scene, stalling, writerOf, type Fixture } from './fixture.js';

/** An error of this code. */
export const code = (expected: LonghaulError['code']): unknown => expect.objectContaining({ code: expected });

/** What every pair of source and destination keeps, by the contract in src/connectors/types.ts. */
export function connectorContract(name: string, makeFixture: () => Promise<Fixture>): void {
  describe(`${name} keeps the connector contract`, () => {
    let fixture: Fixture;
    let tables = 0;
    beforeAll(async () => {
      fixture = await makeFixture();
      await fixture.createSource('public.items', ROWS);
    });
    afterAll(() => fixture[Symbol.asyncDispose]());

    /** A new run into a target of its own. */
    function scene(options: { mode?: Mode; to?: string } = {}): Scene {
      const to = options.to ?? `public.copy_${++tables}`;
      const base: Pick<TableSpec, 'table' | 'from' | 'partition'> = {
        table: 'public.items',
        from: 'public.items',
        partition: { by: 'auto' },
      };
      const spec: TableSpec = { ...base, to, mode: options.mode ?? 'replace' };
      return new Scene(fixture, `run-${randomUUID()}`, spec);
    }

    describe('one partition', () => {
      it('is committed with a receipt of what was read', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        const receipt = await s.copy(session, record, 2);
        expect(receipt).toMatchObject({ ordinal: 2, state: 'committed', rows: ROWS / PARTITIONS, attempt: 1 });
        expect(receipt.bytes).toBeGreaterThan(0);
        expect(Date.parse(receipt.committedAt)).toBeGreaterThanOrEqual(Date.parse(receipt.startedAt));
        const totals = await session.ledger.totals(s.run, s.spec.table, 10);
        expect(totals).toEqual({ committed: 1, skipped: 0, rows: 250, bytes: receipt.bytes, missing: [0, 1, 3] });
        expect(await session.ledger.pending(s.run, s.spec.table, 1, 3)).toEqual([1]);
      });

      it('is committed once: the next attempt gets the stored receipt', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        const receipt = await s.copy(session, record, 0);
        expect(await (await s.destination()).begin(record, s.partition(0), 2)).toEqual(receipt);
        expect(await session.begin(record, s.partition(0), 3)).toEqual(receipt);
      });

      it('does not pass for another predicate of the same number', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        await s.copy(session, record, 0);
        const other = { ...s.partition(0), predicate: fixture.range(0, 300) };
        await expect(session.begin(record, other, 1)).rejects.toEqual(code('PlanChanged'));
        await expect(session.begin({ ...record, columns: ['id'] }, s.partition(0), 1)).rejects.toEqual(
          code('PlanChanged'),
        );
      });

      it('leaves nothing without commit', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        {
          await using writer = await writerOf(session.begin(record, s.partition(0), 1));
          await s.load(writer, record, s.partition(0));
        }
        expect((await session.ledger.totals(s.run, s.spec.table, 1)).committed).toBe(0);
        await s.copyAll(session, record);
        await s.buildAll(session, record);
        await session.publish(record, newMeter());
        expect(await s.visible()).toEqual(ALL_IDS);
      });

      it('is refused when the counts differ', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        {
          await using writer = await writerOf(session.begin(record, s.partition(0), 1));
          const read = await s.load(writer, record, s.partition(0));
          await expect(writer.commit(read + 1)).rejects.toEqual(code('CountMismatch'));
        }
        expect((await session.ledger.totals(s.run, s.spec.table, 1)).committed).toBe(0);
      });

      it('is committed by one of two attempts at once', async () => {
        await using s = scene();
        const [one, two] = [await s.destination(), await s.destination()];
        const record = await s.begun(one);
        const partition = s.partition(1);
        const attempts = [one, two].map(async (session, attempt) => {
          await using writer = await writerOf(session.begin(record, partition, attempt + 1));
          const read = await s.load(writer, record, partition);
          return await writer.commit(read);
        });
        const results = await Promise.allSettled(attempts);
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        const totals = await (await s.destination()).ledger.totals(s.run, s.spec.table, 10);
        expect(totals).toMatchObject({ committed: 1, rows: ROWS / PARTITIONS });
      });

      it('is taken from a zombie, which can not commit any more', async () => {
        await using s = scene();
        const [zombie, session] = [await s.destination(), await s.destination()];
        const record = await s.begun(session);
        const sleeping = await writerOf(zombie.begin(record, s.partition(0), 1));
        const read = await s.load(sleeping, record, s.partition(0));
        await using writer = await writerOf(session.begin(record, s.partition(0), 1));
        await expect(sleeping.commit(read)).rejects.toEqual(code('ConnectionFailed'));
        const receipt = await writer.commit(await s.load(writer, record, s.partition(0)));
        expect(receipt.rows).toBe(ROWS / PARTITIONS);
        await sleeping[Symbol.asyncDispose]();
        expect((await session.ledger.totals(s.run, s.spec.table, 10)).rows).toBe(ROWS / PARTITIONS);
      });

      it('can be aborted in the middle: nothing is left, not even the session', async () => {
        await using s = scene();
        const record = await s.begun(await s.destination());
        const abort = new AbortController();
        const reason = new Error('aborted by the test');
        const label = `aborted ${s.run.slice(-12)}`;
        {
          const session = await s.destination({ signal: abort.signal, label });
          await using writer = await writerOf(session.begin(record, s.partition(0), 1));
          const stream = stalling(await s.stream(record, s.partition(0)), () => abort.abort(reason));
          await expect(writer.load(stream, newMeter())).rejects.toBe(reason);
          await expect(session.ledger.table(s.run, s.spec.table)).rejects.toBe(reason);
        }
        await expect.poll(() => fixture.sessions(label), { timeout: 10_000 }).toBe(0);
        expect((await s.copy(await s.destination(), record, 0)).rows).toBe(ROWS / PARTITIONS);
      });
    });

    describe('digests', () => {
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

    describe('a closed run', () => {
      it.each(['suspended', 'discarded'] as const)(
        '%s: nothing commits, nothing begins, nothing is staged',
        async (state) => {
          await using s = scene();
          const [session, other] = [await s.destination(), await s.destination()];
          const record = await s.begun(session);
          {
            await using writer = await writerOf(session.begin(record, s.partition(0), 1));
            const read = await s.load(writer, record, s.partition(0));
            await other.ledger.closeRun(s.run, state);
            await expect(writer.commit(read)).rejects.toEqual(code('RunClosed'));
          }
          await expect(session.begin(record, s.partition(0), 2)).rejects.toEqual(code('RunClosed'));
          await expect(session.prepare(record)).rejects.toEqual(code('RunClosed'));
          await expect(session.publish(record, newMeter())).rejects.toEqual(code('RunClosed'));
          expect((await session.ledger.totals(s.run, s.spec.table, 10)).committed).toBe(0);
        },
      );

      it('still answers with what was committed', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        const receipt = await s.copy(session, record, 0);
        await session.ledger.closeRun(s.run, 'suspended');
        expect(await session.begin(record, s.partition(0), 2)).toEqual(receipt);
      });

      it('is discarded only when it is not open', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        await s.copyAll(session, record);
        await expect(session.discard(record)).rejects.toThrow(/open/);
        await session.ledger.closeRun(s.run, 'suspended');
        await expect(session.discard(record)).rejects.toThrow(/suspended/);
        await session.ledger.closeRun(s.run, 'discarded');
        await session.discard(record);
        await session.discard(record);
        await expect(s.open(session, true)).rejects.toEqual(code('ResumeRefused'));
        expect(await s.visible()).toBeUndefined();
      });

      it('knows no table that was never opened', async () => {
        await using s = scene();
        const session = await s.destination();
        await s.open(session);
        await expect(session.ledger.table(s.run, 'public.other')).rejects.toEqual(code('RunClosed'));
        expect(await session.ledger.tables(randomUUID())).toEqual([]);
      });
    });

    describe('publishing', () => {
      it('shows everything at once, and nothing before', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        await session.prepare(record);
        expect(await s.visible()).toBeUndefined();
        await s.copyAll(session, record);
        await s.buildAll(session, record);
        expect(await s.visible()).toBeUndefined();
        const totals = await session.publish(record, newMeter());
        expect(totals).toMatchObject({ committed: PARTITIONS, skipped: 0, rows: ROWS, missing: [] });
        expect(await s.visible()).toEqual(ALL_IDS);
        expect((await session.ledger.table(s.run, s.spec.table)).state).toBe('published');
      });

      it('may be repeated', async () => {
        await using s = scene({ mode: 'append' });
        const session = await s.destination();
        const record = await s.begun(session);
        await s.copyAll(session, record);
        await s.buildAll(session, record);
        const totals = await session.publish(record, newMeter());
        expect(await (await s.destination()).publish(record, newMeter())).toEqual(totals);
        expect(await s.visible()).toEqual(ALL_IDS);
        await session.ledger.closeRun(s.run, 'discarded');
        await session.discard(record);
        expect(await s.visible()).toEqual(ALL_IDS);
      });

      it('is prepared, copied and built again without a word, as a workflow that lost its history does', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        await s.copyAll(session, record);
        const steps = await session.buildSteps(record);
        await s.buildAll(session, record);
        await session.publish(record, newMeter());
        const again = await session.ledger.table(s.run, s.spec.table);
        await session.prepare(again);
        await s.copyAll(session, again);
        expect(await session.buildSteps(again)).toEqual([]);
        for (const step of steps) await session.build(again, step, newMeter());
        expect((await session.publish(again, newMeter())).committed).toBe(PARTITIONS);
        expect(await s.visible()).toEqual(ALL_IDS);
      });

      it('answers with missing partitions and stays open for them', async () => {
        await using s = scene();
        const session = await s.destination();
        const record = await s.begun(session);
        await s.copy(session, record, 1);
        expect((await session.publish(record, newMeter())).missing).toEqual([0, 2, 3]);
        expect(await s.visible()).toBeUndefined();
        await s.copyAll(session, record);
        await s.buildAll(session, record);
        expect((await session.publish(record, newMeter())).missing).toEqual([]);
        expect(await s.visible()).toEqual(ALL_IDS);
      });

      it('appends to what is there, and replaces it', async () => {
        const to = `public.copy_${++tables}`;
        await fixture.createTarget(to);
        for (const [mode, rows] of [
          ['append', 1],
          ['append', 2],
          ['replace', 1],
        ] as const) {
          await using s = scene({ mode, to });
          const session = await s.destination();
          const record = await s.begun(session);
          await s.copyAll(session, record);
          await s.buildAll(session, record);
          await session.publish(record, newMeter());
          expect(await s.visible()).toHaveLength(ROWS * rows);
        }
      });
    });

    describe('the plan', () => {
      it('is stored once: the second gets the first', async () => {
        await using s = scene();
        const session = await s.destination();
        await s.open(session);
        const first = { partitions: s.partitions(), reason: 'first', estimatedRows: 1_000 };
        const stored = { partitions: PARTITIONS, pages: 1, reason: 'first', estimatedRows: 1_000 };
        expect(await session.ledger.plan(s.run, s.spec.table)).toBeUndefined();
        expect(await session.ledger.putPlan(s.run, s.spec.table, first)).toEqual(stored);
        const second = { partitions: [s.partition(0)], reason: 'second' };
        expect(await session.ledger.putPlan(s.run, s.spec.table, second)).toEqual(stored);
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
        const plan = await session.ledger.putPlan(s.run, s.spec.table, { partitions: made(), reason: 'many' });
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
        const put = session.ledger.putPlan(s.run, s.spec.table, { partitions: breaking(), reason: 'broken' });
        await expect(put).rejects.toThrow('the source broke');
        const plan = { partitions: s.partitions(), reason: 'whole' };
        expect((await session.ledger.putPlan(s.run, s.spec.table, plan)).partitions).toBe(PARTITIONS);
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
        await session.ledger.openRun({ run: s.run, job: 'contract' }, [{ ...checked, spec }], false);
        const asked = await session.ledger.table(s.run, spec.table, { queries: true });
        expect(asked.spec).toEqual(spec);
        expect((await session.ledger.table(s.run, spec.table)).spec).toEqual({ ...spec, queries: [] });
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
          session.ledger.openRun({ run: s.run, job: 'contract' }, [{ ...checked, fingerprint }], true);
        const changed = reopen({ ...checked.fingerprint, specification: 'other' });
        await expect(changed).rejects.toEqual(code('ResumeRefused'));
        await expect(reopen({ ...checked.fingerprint, specification: 'other' })).rejects.toThrow(/specification/);
        await expect(session.ledger.openRun({ run: s.run, job: 'contract' }, [], true)).rejects.toEqual(
          code('ResumeRefused'),
        );
      });
    });
  });
}
