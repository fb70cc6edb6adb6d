import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VerifyReport } from '../../workflows/verify-job.js';
import { runSql } from '../support/postgres.js';
import { Worlds, type World } from '../support/world.js';

/** `longhaul verify` from the outside: its screens, its exit codes, and how it finds the run, with real servers and a worker process. */

let worlds: Worlds;
beforeAll(async () => {
  worlds = await Worlds.start();
});
afterAll(() => worlds.stop());

const TABLE = { from: 'public.items', verify: 'checksum', partition: { by: 'id', count: 4 } };

/** A job that has ended well. */
async function copied(world: World): Promise<{ name: string; run: string }> {
  const { file, name } = await world.jobFile({ tables: [TABLE] });
  const { code, err } = await world.longhaul('run', file);
  expect(code, err).toBe(0);
  return { name, run: (await world.progress(name)).run };
}

describe('longhaul verify', () => {
  test('finds the run by its job, says what differs, and where the keys are kept', async () => {
    await using world = await worlds.make('verified', { ledgerSchema: 'order' });
    const { name, run } = await copied(world);
    const equal = await world.longhaul('verify', name);
    expect(equal.code, equal.err).toBe(0);
    expect(equal.out).toMatch(/public\.items +✔ equal +4,000 +4,000 +4,000 +4\n/);
    expect(equal.out).toContain(`✔ equal  ${name}: 1 table of run ${run}, row by row`);
    expect(equal.err).toMatch(new RegExp(`Comparing run ${run} .* as workflow verify-${name}-`));

    await runSql(world.destinationUrl, `DELETE FROM items WHERE id = 7; UPDATE items SET note = 'x' WHERE id = 3999`);
    const differs = await world.longhaul('verify', name, 'public.items');
    expect(differs.code, differs.err).toBe(1);
    expect(differs.out).toMatch(/public\.items +✖ target changed +4,000 +4,000 +3,999 +4\n/);
    expect(differs.out).toContain('public.items: the target changed since the copy; the source is as it was copied');
    expect(differs.out).toMatch(
      / {2}1\/4 +target changed +([\d,]+) +\1 +[\d,]+ +1\n {2}4\/4 +target changed +([\d,]+) +\2 +\2 +1\n/,
    );
    expect(differs.out).toContain(`✖ not equal  ${name}: 1 of 1 table of run ${run}`);
    expect(differs.out).not.toContain('["');
    const printed = /^ *(SELECT .*);$/m.exec(differs.out)![1]!;
    expect(await runSql(world.destinationUrl, printed)).toEqual([
      { partition: 1, key: '["7"]', difference: 'only in source' },
      { partition: 4, key: '["3999"]', difference: 'differs' },
    ]);

    const json = await world.longhaul('verify', name, '--json', '--keys', '0');
    expect([json.code, json.err]).toEqual([1, '']);
    const report = JSON.parse(json.out) as VerifyReport;
    expect(report).toMatchObject({
      run,
      destination: 'warehouse',
      equal: false,
      differences: '"order".differences',
    });
    expect(report.tables[0]!.differing.map(({ label, keys }) => [label, keys])).toEqual([
      ['1/4', 0],
      ['4/4', 0],
    ]);
  }, 300_000);

  test('takes the run that a job has resumed, and one that is named', async () => {
    await using world = await worlds.make('verify_resumed');
    const { file, name, run } = await world.stuck();
    await world.client.workflow.getHandle(name).terminate('by the test');
    const open = await world.longhaul('verify', name);
    expect(open.code, open.err).toBe(1);
    expect(open.out).toContain('items: it was not compared (it is open)');
    await world.openGate();
    expect((await world.longhaul('run', file, '--resume', run)).code).toBe(0);
    const resumed = await world.longhaul('verify', name);
    expect([resumed.code, resumed.out], resumed.err).toEqual([0, expect.stringContaining(`of run ${run}`)]);
    const named = await world.longhaul('verify', 'forgotten', '--run', run, '--destination', 'warehouse', '--json');
    expect([named.code, named.err], named.out).toEqual([0, '']);
    expect(JSON.parse(named.out)).toMatchObject({ run, equal: true });
  }, 300_000);

  test('says what it does not know, and touches nothing', async () => {
    await using world = await worlds.make('verify_unknown');
    const { name, run } = await copied(world);
    const wrong = async (words: readonly string[], ...said: readonly string[]) => {
      const { code, out, err } = await world.longhaul('verify', ...words);
      expect([code, out], err).toEqual([2, '']);
      for (const part of said) expect(err).toContain(part);
    };
    await wrong([name, 'public.item'], `Run ${run} has no table "public.item". Did you mean "public.items"?`);
    await wrong(
      [name, '--run', 'nobody'],
      'The ledger of connection "warehouse" knows no run nobody.',
      'longhaul ls --destination warehouse',
    );
    await wrong(['nobody'], 'There is no job "nobody"', '--run', '--destination');
    await wrong([name, '--parallelism', '0'], 'It must be a whole number from 1 to 1000.');
    await wrong([name, '--destination', 'nowhere'], 'There is no connection "nowhere"');
  }, 300_000);
});
