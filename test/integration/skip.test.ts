import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VerifyReport } from '../../workflows/verify-job.js';
import { runSql } from '../support/postgres.js';
import { until } from '../support/workflows.js';
import { ROWS, Worlds, type World } from '../support/world.js';

/** `longhaul skip` from the outside, with real servers and a worker process. */

let worlds: Worlds;
beforeAll(async () => {
  worlds = await Worlds.start();
});
afterAll(() => worlds.stop());

const EACH = ROWS / 4;

/** Of the partitions of `table`, as the ledger has them. */
const states = ({ destinationUrl }: World, run: string) =>
  runSql<{ partition: number; state: string }>(
    destinationUrl,
    'SELECT partition + 1 AS partition, state FROM longhaul.receipts WHERE run = $1 ORDER BY 1',
    [run],
  );

describe('longhaul skip', () => {
  test('goes on without a parked query: complete with skips, here and wherever one looks later', async () => {
    await using world = await worlds.make('skipped');
    const { name, run } = await world.stuck();
    const status = await world.longhaul('status', name);
    expect(status.out).toContain('items c: DataRejected');
    expect(status.err).toContain(`longhaul skip ${name} TABLE/PARTITION`);
    const refused = await world.longhaul('skip', name, 'items');
    expect([refused.code, refused.out], refused.err).toEqual([2, '']);
    expect(refused.err).toContain('nothing was done.');
    const skipped = await world.longhaul('skip', name, 'items/c');
    expect(skipped.code, skipped.err).toBe(0);
    expect(skipped.out).toBe(`1 partition of ${name} will be skipped.\n`);
    expect(skipped.err).toMatch(/! Its rows will NOT be in the target/);

    const watched = await world.longhaul('watch', name);
    expect(watched.code, watched.err).toBe(4);
    expect(watched.out).toMatch(/^items +.*3,000 .* 3\/4 /m);
    expect(watched.out).toContain('! skipped  items: 1 partition skipped and not in the target');
    expect(watched.out).toMatch(/^! complete with skips {2}.*1 partition skipped and not in the destination$/m);
    expect(await world.copied()).toEqual({ rows: 3 * EACH, ids: 3 * EACH });
    expect(await world.staging()).toEqual([]);
    const [found] = await world.ls(run);
    expect(found).toMatchObject({ skipped: 1, tables: [{ committed: 3, partitions: 4, skipped: 1 }] });
    const listed = await world.longhaul('ls', run, '--destination', 'warehouse');
    expect(listed.out).toContain('1 published, 1 partition skipped');
    expect(listed.out).toContain('items: 1 partition skipped and not in the target');

    const verified = await world.longhaul('verify', name);
    expect(verified.code, verified.err).toBe(4);
    expect(verified.out).toContain('items: 1 partition skipped at the copy, and not compared');
    expect(verified.out).toMatch(/^! equal but for skips .*; 1 partition skipped and not compared$/m);
  }, 300_000);

  test('stands when the run is resumed; what verify compares are the other partitions, each with its digest', async () => {
    await using world = await worlds.make('skip_resumed');
    const ranges = { from: 'public.items', to: 'public.items', verify: 'checksum', partition: { by: 'id', count: 4 } };
    // A row of the first partition is refused.
    await runSql(
      world.destinationUrl,
      'CREATE TABLE items (id int PRIMARY KEY CHECK (id > 0), note text); CREATE TABLE fenced (id int)',
    );
    const queries = [{ id: 'one', sql: 'SELECT 1 AS id WHERE 1 / (SELECT open FROM public.gate) = 1' }];
    const tables = [ranges, { table: 'fenced', to: 'public.fenced', queries }];
    const { file, name, run } = await world.stuck({ tables });
    expect((await world.longhaul('skip', name, 'fenced/one', 'public.items/2')).code).toBe(2);
    expect((await world.longhaul('skip', name, 'public.items/1')).code).toBe(0);
    await until(async () => (await states(world, run)).some(({ state }) => state === 'skipped'));
    expect((await world.longhaul('cancel', name)).code).toBe(0);
    await world.openGate();
    const resumed = await world.longhaul('run', file, '--resume', run);
    expect(resumed.code, resumed.err).toBe(4);
    expect((await states(world, run)).map(({ state }) => state).sort()).toEqual([
      ...Array<string>(4).fill('committed'),
      'skipped',
    ]);
    const { rows, ids } = await world.copied();
    const receipts = await world.receipts(run);
    expect([ids, receipts.reduce((sum, each) => sum + Number(each.rows), 0)]).toEqual([rows, rows + 1]);
    const whole = await world.longhaul('verify', name, 'public.items', '--json');
    const { equal, tables: compared } = JSON.parse(whole.out) as VerifyReport;
    expect([whole.code, equal]).toEqual([4, true]);
    expect(compared).toMatchObject([{ verdict: 'equal', skipped: 1, rows: { source: rows, target: rows } }]);

    await runSql(world.destinationUrl, `UPDATE items SET note = 'x' WHERE id = 3999`);
    const differs = await world.longhaul('verify', name, 'public.items');
    expect(differs.code).toBe(1);
    expect(differs.out).toMatch(/^✖ not equal .*; 1 partition skipped and not compared$/m);
  }, 300_000);
});
