import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import { checkTarget, createTarget } from '../../src/connectors/databricks/check.js';
import { WarehouseClient } from '../../src/connectors/databricks/client.js';
import { TIMING } from '../../src/connectors/databricks/http.js';
import { cleanUp, publishToWarehouse, settle, type Publication } from '../../src/connectors/databricks/publish.js';
import { listsOf, type StagedFile } from '../../src/connectors/databricks/staging.js';
import { VolumeStore } from '../../src/connectors/databricks/volume-store.js';
import type { LakeColumn, LakeType } from '../../src/connectors/lake/model.js';
import { FakeDatabricks, type Fault } from '../support/fake-databricks.js';

const TARGET = { catalog: 'dev', schema: 'bronze', table: 'Orders' };
/** Nothing is sent again by itself: every lost answer is an attempt's end. */
const ONCE = { ...TIMING, resends: 0, first: 2, longest: 10, look: 5 };

let fake: FakeDatabricks;
let store: VolumeStore;
let client: WarehouseClient;
beforeAll(async () => {
  fake = await FakeDatabricks.start();
});
afterAll(() => fake.stop());

function column(name: string, type: LakeType, nullable = true): LakeColumn {
  const source = { name, type: 'text', definition: 'text', notNull: false, generated: false };
  return { name, type, nullable, source };
}

const COLUMNS = [column('Id', { kind: 'integer' }), column('note', { kind: 'string' })];

beforeEach(async () => {
  fake.faults.length = fake.sql.length = 0;
  const { signal } = new AbortController();
  client = new WarehouseClient(fake.config(), signal, ONCE);
  store = new VolumeStore(fake.config(), signal);
  await client.run({ sql: 'DROP TABLE IF EXISTS `dev`.`bronze`.`Orders`', repeatable: true });
  await createTarget(client, TARGET, COLUMNS);
  await client.run({
    sql: "INSERT INTO `dev`.`bronze`.`Orders` (`Id`, `note`) SELECT 1000, 'before'",
    repeatable: false,
  });
});

let runs = 0;

/** A run with a file for each of `files`, whose rows are numbered on from `first`. */
async function publication(mode: Publication['mode'], files = ['p1', 'p2'], first = 0): Promise<Publication> {
  const run = `run-${++runs}`;
  const written: StagedFile[] = [];
  for (const [at, name] of files.entries()) {
    const path = `bronze/orders/data/${run}/${name}.parquet`;
    await store.putIfAbsent(path, Buffer.from('x'));
    const rows = `SELECT (${first + at * 3} + i)::INT AS "Id", '${name}' AS note FROM range(3) t(i)`;
    await fake.warehouse.raw(`COPY (${rows}) TO '${fake.warehouse.disk(store.absolute(path))}' (FORMAT parquet)`);
    written.push({ path, size: 1 });
  }
  return {
    ...{ client, store, target: TARGET, columns: COLUMNS, mode, run, table: 'public.orders', epoch: 1 },
    ...{ files: () => written, rows: files.length * 3, stillPublishing: () => Promise.resolve() },
  };
}

async function ids(): Promise<number[]> {
  const { rows } = await fake.warehouse.raw('SELECT "Id" FROM dev.bronze."Orders" ORDER BY 1');
  return rows.map(([id]) => Number(id));
}

const SIX = [0, 1, 2, 3, 4, 5];
const WITH = { append: [...SIX, 1000], replace: SIX };
const PUBLISHING = { append: /^COPY INTO `dev`\.`bronze`/, replace: /^INSERT OVERWRITE `dev`\.`bronze`/ };
const MODES = ['append', 'replace'] as const;

/** As Temporal does: attempts, until one succeeds. */
async function untilDone<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 5 || !(error instanceof LonghaulError) || !['connection', 'retry'].includes(error.handling))
        throw error;
    }
  }
}

/** An attempt at which the answer to the statement that publishes gets lost, while the warehouse holds the statement. */
async function zombie(its: Publication, where: 'queued' | 'running') {
  const at = PUBLISHING[its.mode];
  const hold = fake.hold(at, where);
  fake.faults.push({ at, what: 'lost' });
  await expect(publishToWarehouse(its)).rejects.toMatchObject({ code: 'ConnectionFailed' });
  await hold.reached;
  return hold;
}

describe.each(MODES)('publishing: %s', (mode) => {
  it('makes all rows visible, once, however often it is done', async () => {
    const its = await publication(mode);
    await publishToWarehouse(its);
    expect(await ids()).toEqual(WITH[mode]);
    await publishToWarehouse(its);
    expect(await settle(its)).toBe('published');
    expect(await ids()).toEqual(WITH[mode]);
  });

  it('leaves nothing beside the target after it is cleaned up', async () => {
    const tables = [...fake.warehouse.tables.keys()];
    const its = await publication(mode);
    await publishToWarehouse(its);
    await cleanUp(its, its);
    expect([...fake.warehouse.tables.keys()]).toEqual(tables);
  });

  it('does so by two attempts at the same time', async () => {
    const its = await publication(mode);
    await Promise.all([untilDone(() => publishToWarehouse(its)), untilDone(() => publishToWarehouse(its))]);
    expect(await ids()).toEqual(WITH[mode]);
  });

  it.each(['queued', 'running'] as const)(
    'is not done again by a statement that was %s when another attempt did it',
    async (where) => {
      const its = await publication(mode);
      const hold = await zombie(its, where);
      await publishToWarehouse(its);
      const next = await publication('replace', ['n1'], 500);
      await publishToWarehouse(next);
      hold.release();
      await fake.idle();
      expect(await ids()).toEqual([500, 501, 502]);
    },
  );

  it('is over for an attempt whose statement is refused since another attempt did it', async () => {
    const its = await publication(mode);
    const hold = fake.hold(PUBLISHING[mode], 'queued');
    const first = publishToWarehouse(its);
    await hold.reached;
    await publishToWarehouse(its);
    hold.release();
    await first;
    expect(await ids()).toEqual(WITH[mode]);
  });

  it('is not done again in a table that was empty', async () => {
    await client.run({ sql: 'DROP TABLE IF EXISTS `dev`.`bronze`.`Orders`', repeatable: true });
    await createTarget(client, TARGET, COLUMNS);
    const its = await publication(mode);
    const hold = await zombie(its, 'running');
    await publishToWarehouse(its);
    hold.release();
    await fake.idle();
    expect(await ids()).toEqual(SIX);
  });

  it('is loud about two that wrote to an empty table at the same time, should they not conflict', async () => {
    await client.run({ sql: 'DROP TABLE IF EXISTS `dev`.`bronze`.`Orders`', repeatable: true });
    await createTarget(client, TARGET, COLUMNS);
    const its = await publication('replace');
    const hold = await zombie(its, 'running');
    const fence = fake.hold(/^ALTER TABLE/, 'queued');
    const second = publishToWarehouse(its).catch((error: unknown) => error);
    await fence.reached;
    hold.release();
    await new Promise((resolve) => setTimeout(resolve, 100));
    fence.release();
    expect(await second).toMatchObject({ code: 'CountMismatch' });
    await expect(publishToWarehouse(its)).rejects.toMatchObject({ code: 'CountMismatch' });
    await expect(settle(its)).rejects.toMatchObject({ code: 'CountMismatch' });
  });

  it('is not done again in the midst of what is appended later', async () => {
    const its = await publication(mode);
    const hold = await zombie(its, 'running');
    await publishToWarehouse(its);
    await publishToWarehouse(await publication('append', ['n1'], 500));
    hold.release();
    await fake.idle();
    expect(await ids()).toEqual([...WITH[mode], 500, 501, 502].sort((a, b) => a - b));
  });

  it.each(['queued', 'running'] as const)(
    'stays undone when it was settled while its statement was %s',
    async (where) => {
      const its = await publication(mode);
      const hold = await zombie(its, where);
      expect(await settle(its)).toBe('closed');
      hold.release();
      await fake.idle();
      expect(await ids()).toEqual([1000]);
      expect(await settle(its)).toBe('closed');
      await expect(publishToWarehouse(its)).rejects.toMatchObject({ code: 'RunClosed' });
      await publishToWarehouse({ ...its, epoch: 2 });
      expect(await ids()).toEqual(WITH[mode]);
    },
  );

  it('is found done when its answer was lost', async () => {
    const its = await publication(mode);
    const hold = await zombie(its, 'running');
    hold.release();
    await fake.idle();
    expect(await settle(its)).toBe('published');
    expect(await settle(its)).toBe('published');
    expect(await ids()).toEqual(WITH[mode]);
  });

  it('is closed for a publisher that has not begun', async () => {
    const its = await publication(mode);
    expect(await settle(its)).toBe('closed');
    await expect(publishToWarehouse(its)).rejects.toMatchObject({ code: 'RunClosed' });
    expect(await ids()).toEqual([1000]);
  });

  it('looks at the ledger right before the statement', async () => {
    const its = await publication(mode);
    const stillPublishing = () => Promise.reject(new LonghaulError('RunClosed', 'closed'));
    await expect(publishToWarehouse({ ...its, stillPublishing })).rejects.toMatchObject({ code: 'RunClosed' });
    expect(await ids()).toEqual([1000]);
  });

  it('leaves the target as it is when the files have another number of rows', async () => {
    const its = await publication(mode);
    await expect(publishToWarehouse({ ...its, rows: 7 })).rejects.toMatchObject({ code: 'CountMismatch' });
    expect(await ids()).toEqual([1000]);
    await publishToWarehouse(its);
    expect(await ids()).toEqual(WITH[mode]);
  });

  it('leaves the target as it is when it has changed', async () => {
    const its = await publication(mode);
    const columns = [...COLUMNS, column('more', { kind: 'string' })];
    await expect(publishToWarehouse({ ...its, columns })).rejects.toMatchObject({
      code: expect.stringMatching(/TargetChanged|StatementInvalid/) as string,
    });
    expect(await ids()).toEqual([1000]);
  });

  it('takes more than one list', async () => {
    const its = await publication(mode, ['a/p1', 'b/p2']);
    await publishToWarehouse(its);
    await publishToWarehouse({ ...its, epoch: 2 });
    expect(await ids()).toEqual(WITH[mode]);
    await cleanUp(its, its);
    const left = [];
    for await (const page of store.list('longhaul-appends/')) left.push(...page);
    expect(left).toEqual([]);
  });

  it('takes a table without files', async () => {
    const its = await publication(mode, []);
    await publishToWarehouse(its);
    expect(await ids()).toEqual(mode === 'append' ? [1000] : []);
  });
});

/** Every statement that `work` sends is cut once: not sent, or its answer lost. */
async function cuts(
  files: string[],
  mode: Publication['mode'],
  test: (its: Publication) => Promise<void>,
): Promise<number> {
  const measured = await publication(mode, files);
  const before = fake.sql.length;
  await publishToWarehouse(measured);
  const statements = fake.sql.length - before;
  for (let at = 0; at < statements; at++)
    for (const what of ['lost', 'reset'] as const) {
      await client.run({
        sql: "INSERT OVERWRITE `dev`.`bronze`.`Orders` (`Id`, `note`) SELECT 1000, 'before'",
        repeatable: false,
      });
      const its = await publication(mode, files);
      fake.faults.push(...cutAt(at, what));
      await test(its);
      expect(fake.faults).toEqual([]);
    }
  return statements;
}

/** Faults are taken in order, one a statement: those before the cut only wait for their turn. */
function cutAt(at: number, what: 'lost' | 'reset'): Fault[] {
  let seen = 0;
  const turn = { test: (text: string) => /^[A-Z]+ (?!\/)/.test(text) && seen++ === at } as RegExp;
  return [{ at: turn, what }];
}

describe.each(MODES)('an attempt that ends at any statement: %s', (mode) => {
  it.each([[['p1', 'p2']], [['a/p1', 'b/p2']]])('is followed by one that leaves every row once: %j', async (files) => {
    const statements = await cuts(files, mode, async (its) => {
      await untilDone(() => publishToWarehouse(its));
      await fake.idle();
      expect(await ids()).toEqual(WITH[mode]);
    });
    expect(statements).toBeGreaterThan(8);
  });

  it('is settled as what it is, for good', async () => {
    await cuts(['p1', 'p2'], mode, async (its) => {
      await publishToWarehouse(its).catch(() => undefined);
      const settled = await untilDone(() => settle(its));
      await fake.idle();
      expect(await ids()).toEqual(settled === 'published' ? WITH[mode] : [1000]);
      expect(await settle(its)).toBe(settled);
      expect(await ids()).toEqual(settled === 'published' ? WITH[mode] : [1000]);
    });
  });
});

describe('lists of files', () => {
  const names = (files: number) => Array.from({ length: files }, (_, at) => ({ path: `d/${at}`, size: 1 }));

  it('name a thousand of one folder at most', async () => {
    const lists = [];
    for await (const list of listsOf([...names(2_500), { path: 'e/1', size: 1 }, { path: 'f', size: 1 }], '/Volumes/v'))
      lists.push(list);
    expect(lists.map(({ folder, names: its }) => [folder, its.length])).toEqual([
      ...[
        ['/Volumes/v/d', 1_000],
        ['/Volumes/v/d', 1_000],
        ['/Volumes/v/d', 500],
      ],
      ...[
        ['/Volumes/v/e', 1],
        ['/Volumes/v', 1],
      ],
    ]);
  });
});

describe('a target', () => {
  const check = async (columns: readonly LakeColumn[], mode: Publication['mode'] = 'append', table = TARGET) =>
    (await checkTarget(client, table, columns, mode)).findings.map(
      ({ severity, message }) => `${severity}: ${message}`,
    );

  it('that fits, or is not there, has nothing to say', async () => {
    expect(await check(COLUMNS)).toEqual([]);
    expect(await check(COLUMNS, 'append', { ...TARGET, table: 'none' })).toEqual([]);
  });

  it('says all that is wrong with it', async () => {
    const columns = [column('id', { kind: 'long' }), column('gone', { kind: 'string' })];
    expect(await check(columns, 'replace')).toEqual([
      'problem: column id is INT, which does not hold every BIGINT',
      'problem: has no column gone',
      'warning: column note is not in the source: every row gets NULL',
    ]);
  });

  it('has another fingerprint when it changes', async () => {
    const { fingerprint } = await checkTarget(client, TARGET, COLUMNS, 'append');
    await client.run({ sql: 'DROP TABLE IF EXISTS `dev`.`bronze`.`Orders`', repeatable: true });
    expect((await checkTarget(client, TARGET, COLUMNS, 'append')).fingerprint).toBe('absent');
    await createTarget(client, TARGET, [...COLUMNS, column('more', { kind: 'date' })]);
    expect((await checkTarget(client, TARGET, COLUMNS, 'append')).fingerprint).not.toBe(fingerprint);
  });
});
