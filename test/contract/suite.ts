import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Capabilities } from '../../src/connectors/types.js';
import type { TableSpec } from '../../src/core/model.js';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, Scene, stalling, writerOf, type Fixture } from './fixture.js';
import { ledgerContract, type SceneOptions } from './ledger-suite.js';
import { runsContract } from './runs-suite.js';
import { rejectsContract } from './rejects-suite.js';
import { skipContract } from './skip-suite.js';

/** What a destination can't do, as its capabilities say: known before there is a fixture. */
export type Without = Pick<Capabilities, 'publishes' | 'rejects' | 'attempts'> & { readonly digest?: false };

/** What every pair of source and destination keeps, by the contract in src/connectors/types.ts. */
export function connectorContract(name: string, makeFixture: () => Promise<Fixture>, without: Without = {}): void {
  describe(`${name} keeps the connector contract`, () => {
    let fixture: Fixture;
    let tables = 0;
    beforeAll(async () => {
      fixture = await makeFixture();
      await fixture.createSource('public.items', ROWS);
    });
    afterAll(() => fixture[Symbol.asyncDispose]());

    /** A new run into a target of its own. */
    function scene(options: SceneOptions = {}): Scene {
      const to = options.to ?? `public.copy_${++tables}`;
      const base: Pick<TableSpec, 'table' | 'from' | 'partition'> = {
        table: 'public.items',
        from: 'public.items',
        partition: { by: 'auto' },
      };
      const { mode = 'replace', publish, consistency } = options;
      const spec: TableSpec = { ...base, to, mode, ...(publish && { publish }), ...(consistency && { consistency }) };
      return new Scene(fixture, `run-${randomUUID()}`, spec);
    }

    it('says in its capabilities what it can not do', () => {
      const { publishes, rejects, attempts, digest } = fixture.destination.capabilities;
      const said = { publishes, rejects, attempts, ...(digest === undefined && { digest: false }) };
      expect(said).toEqual({ publishes: undefined, rejects: undefined, attempts: undefined, ...without });
    });

    it('identifies its systems, the same for every session', async () => {
      await using s = scene();
      expect(await (await s.source()).identity()).toBe(await (await s.source()).identity());
      expect(await (await s.destination()).identity()).toBe(await (await s.destination()).identity());
      expect(await (await s.source()).identity()).not.toBe(await (await s.destination()).identity());
    });

    describe('uses of a target', () => {
      async function opened(s: Scene, name: string, state?: 'suspended'): Promise<void> {
        const session = await s.destination();
        await session.ledger.openRun({ run: s.run, job: 'contract-1', name }, [await s.checked()]);
        if (state) await session.ledger.closeRun(s.run, state);
      }

      it('are leases of other runs, by mode', async () => {
        await using s = scene();
        await opened(s, 'nightly');
        const { ledger } = await s.destination();
        const held = { to: s.spec.to, use: 'held', run: s.run, job: 'contract-1' };
        expect(await ledger.usesOf({ name: 'other' }, [s.spec])).toMatchObject([held]);
        expect(await ledger.usesOf({ name: 'other' }, [{ ...s.spec, mode: 'append' }])).toMatchObject([held]);
        expect(await ledger.usesOf({ name: 'other', run: s.run }, [s.spec])).toEqual([]);
        expect(await ledger.usesOf({ name: 'other' }, [{ to: 'public.elsewhere', mode: 'replace' }])).toEqual([]);
        await ledger.closeRun(s.run, 'suspended');
        expect(await ledger.usesOf({ name: 'nightly' }, [s.spec])).toEqual([]);
      });

      it('are appends of the same name, published or on their way, and no others', async () => {
        const to = `public.uses_${randomUUID().slice(0, 8)}`;
        await fixture.createTarget(to);
        await using s = scene({ to, mode: 'append' });
        await opened(s, 'nightly');
        const { ledger } = await s.destination();
        const appended = { to, use: 'appended', run: s.run, job: 'contract-1' };
        expect(await ledger.usesOf({ name: 'nightly' }, [s.spec])).toMatchObject([appended]);
        expect(await ledger.usesOf({ name: 'other' }, [s.spec])).toEqual([]);
        expect(await ledger.usesOf({ name: 'nightly', run: s.run }, [s.spec])).toEqual([]);
        await ledger.closeRun(s.run, 'suspended');
        expect(await ledger.usesOf({ name: 'nightly' }, [s.spec])).toEqual([]);
        await using published = scene({ to, mode: 'append' });
        await opened(published, 'nightly');
        const session = await published.destination();
        const record = await session.ledger.table(published.run, published.spec.table);
        await session.prepare(record);
        await session.ledger.putPlan(published, {
          partitions: published.partitions(),
          reason: 'four ranges',
        });
        await published.copyAll(session, record);
        await published.buildAll(session, record);
        await session.publish(record, newMeter());
        expect(await ledger.usesOf({ name: 'nightly' }, [s.spec])).toMatchObject([{ ...appended, run: published.run }]);
        expect(await ledger.usesOf({ name: 'nightly' }, [{ ...s.spec, mode: 'replace' }])).toEqual([]);
      });
    });

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

      it.runIf(without.attempts === 'raced')(
        'is committed by a zombie or by who took it over, never by both',
        async () => {
          await using s = scene();
          const [zombie, session] = [await s.destination(), await s.destination()];
          const record = await s.begun(session);
          const sleeping = await writerOf(zombie.begin(record, s.partition(0), 1));
          const read = await s.load(sleeping, record, s.partition(0));
          await using writer = await writerOf(session.begin(record, s.partition(0), 1));
          const loaded = await s.load(writer, record, s.partition(0));
          const receipt = await sleeping.commit(read);
          await expect(writer.commit(loaded)).rejects.toEqual(code('ConnectionFailed'));
          expect(await session.begin(record, s.partition(0), 2)).toEqual(receipt);
          await sleeping[Symbol.asyncDispose]();
          expect((await session.ledger.totals(s.run, s.spec.table, 10)).rows).toBe(ROWS / PARTITIONS);
          await s.copyAll(session, record);
          await s.buildAll(session, record);
          await session.publish(record, newMeter());
          expect(await s.visible()).toEqual(ALL_IDS);
        },
      );

      it.skipIf(without.attempts === 'raced')('is taken from a zombie, which can not commit any more', async () => {
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

    ledgerContract(scene);
    const direct = without.publishes?.includes('partition') ?? true;
    skipContract(scene, { direct });
    rejectsContract(() => fixture, { aside: without.rejects ?? true });
    runsContract(scene, (to) => fixture.createTarget(to), { direct, digests: without.digest ?? true });
  });
}
