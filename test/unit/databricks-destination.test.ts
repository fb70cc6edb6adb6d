import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DestinationSession } from '../../src/connectors/types.js';
import type { TableRecord } from '../../src/core/model.js';
import { databricksFixture } from '../contract/databricks-fixture.js';
import { ALL_IDS, code, newMeter, PARTITIONS, ROWS, Scene } from '../contract/fixture.js';

/** What the lake's session and publishing to a warehouse make of each other. */

let fixture: Awaited<ReturnType<typeof databricksFixture>>;
let count = 0;
beforeAll(async () => {
  fixture = await databricksFixture();
  await fixture.createSource('public.items', ROWS);
});
afterAll(() => fixture[Symbol.asyncDispose]());
beforeEach(() => {
  fixture.fake.faults.length = 0;
});

const PUBLISHING = { replace: /^INSERT OVERWRITE `dev`\.`public`/, append: /^COPY INTO `dev`\.`public`/ };
const MODES = ['replace', 'append'] as const;

function scene(mode: 'replace' | 'append', more: object = {}): Scene {
  const table = { table: 'public.items', from: 'public.items', to: `public.target_${++count}` };
  return new Scene(fixture, `run-${randomUUID()}`, { ...table, mode, partition: { by: 'auto' }, ...more });
}

/** A run of which every partition is committed, beside a target that has the row -1. */
async function copied(s: Scene): Promise<{ session: DestinationSession; record: TableRecord }> {
  await fixture.createTarget(s.spec.to);
  await fixture.fake.warehouse.raw(`INSERT INTO dev.${s.spec.to} VALUES (-1, 'before')`);
  const session = await s.destination();
  const record = await s.begun(session);
  await s.copyAll(session, record);
  return { session, record };
}

const shown = { replace: ALL_IDS, append: [-1, ...ALL_IDS] };

function leftovers(): string[] {
  const root = join(fixture.fake.warehouse.root, 'Volumes/dev/landing/files/longhaul');
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const ours = files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  const tables = [...fixture.fake.warehouse.tables.keys()].filter((key) => key.includes('.longhaul_'));
  return [...tables, ...ours.filter((path) => !path.startsWith('_longhaul/'))];
}

it('lays the files of a table in one folder that no reader passes over', async () => {
  await using s = scene('append');
  await copied(s);
  const { to } = s.spec;
  const folders = leftovers().map((path) => path.slice(0, path.lastIndexOf('/')));
  expect(folders).toEqual(Array(PARTITIONS).fill(`${to.replace('.', '/')}/longhaul_data/${s.run}/0`));
  const [session] = [await s.destination()];
  await session.publish(await session.ledger.table(s.run, s.spec.table), newMeter());
  expect(leftovers()).toEqual([]);
});

it.each(MODES)('%s: an attempt that finds the table published, and tidied up, has published it', async (mode) => {
  await using s = scene(mode);
  const { session, record } = await copied(s);
  const hold = fixture.fake.hold(PUBLISHING[mode], 'queued');
  const late = session.publish(record, newMeter());
  await hold.reached;
  const totals = await (await s.destination()).publish(record, newMeter());
  hold.release();
  expect(await late).toEqual(totals);
  expect(await s.visible()).toEqual(shown[mode]);
  expect(leftovers()).toEqual([]);
});

it.each(MODES)('%s: one that comes after the run was discarded publishes nothing and leaves nothing', async (mode) => {
  await using s = scene(mode);
  const { session, record } = await copied(s);
  const hold = fixture.fake.hold(/^CREATE TABLE IF NOT EXISTS `dev`\.`public`/, 'queued');
  const late = expect(session.publish(record, newMeter())).rejects.toThrow();
  await hold.reached;
  const other = await s.destination();
  await other.ledger.closeRun(s.run, 'discarded');
  await other.discard(record);
  hold.release();
  await late;
  expect(await s.visible()).toEqual([-1]);
  expect(leftovers()).toEqual([]);
});

it.each(MODES)('%s: what is visible is published, when the run is discarded before anybody knew', async (mode) => {
  await using s = scene(mode);
  const { session, record } = await copied(s);
  fixture.fake.faults.push({ at: /^CREATE OR REPLACE TABLE .*_longhaul_|`(done|finishing)`/, what: { status: 400 } });
  await expect(session.publish(record, newMeter())).rejects.toThrow();
  expect(await s.visible()).toEqual(shown[mode]);
  const other = await s.destination();
  await other.ledger.closeRun(s.run, 'discarded');
  expect(await other.ledger.table(s.run, s.spec.table)).toMatchObject({ state: 'published' });
  await other.discard(record);
  expect(await s.visible()).toEqual(shown[mode]);
  expect(leftovers()).toEqual([]);
});

it('asks the ledger once more before a statement is sent that changes the target', async () => {
  await using s = scene('append');
  const { session, record } = await copied(s);
  const hold = fixture.fake.hold(/^SELECT count\(\*\) FROM `dev`\.`landing`/, 'running');
  const late = expect(session.publish(record, newMeter())).rejects.toEqual(code('RunClosed'));
  await hold.reached;
  await (await s.destination()).ledger.closeRun(s.run, 'suspended');
  const before = fixture.fake.sql.length;
  hold.release();
  await late;
  expect(fixture.fake.sql.slice(before).filter((sql) => PUBLISHING.append.test(sql))).toEqual([]);
  expect(await s.visible()).toEqual([-1]);
});

it('removes what a table has staged before it started over, too', async () => {
  await using s = scene('replace', { consistency: 'snapshot' });
  const before = leftovers();
  const { session, record } = await copied(s);
  fixture.fake.faults.push({ at: PUBLISHING.replace, what: { status: 400 } });
  await expect(session.publish(record, newMeter())).rejects.toThrow();
  const [again] = await session.ledger.startOver({ run: s.run, snapshot: 1 });
  expect(again).toMatchObject({ snapshot: 2, state: 'open' });
  await session.prepare(again!);
  await session.ledger.putPlan(again!, { partitions: s.partitions(), reason: 'four ranges' });
  await s.copyAll(session, again!);
  await session.publish(again!, newMeter());
  expect(await s.visible()).toEqual(ALL_IDS);
  expect(leftovers()).toEqual(before);
});
