import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApi, YEARS } from '../../examples/module-source/api.js';
import { sourceContract } from '../../src/testing/index.js';
import { entry, openScene, recordOf } from '../support/modules.js';
import type { RowStream } from '../../src/connectors/types.js';

const server = createApi('secret', Infinity);
const options = { url: '', token: 'secret' };
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  options.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

const path = resolve('examples/module-source/sources/erp.ts');

describe('the example keeps the contract', () => {
  const wrongQuery = { id: 'wrong', sql: '/nothing' };
  for (const { name, run } of sourceContract(path, { table: 'orders', options, wrongQuery })) it(name, run);
});

describe('the example', () => {
  const config = { type: 'module', name: 'erp', path, written: './sources/erp.ts' } as const;

  it('gives every row of every year', async () => {
    const scene = await openScene({ ...config, options });
    const { queries: _, ...spec } = entry({ table: 'public.orders', from: 'public.orders' });
    const { table } = await scene.session.describe(spec);
    const record = { ...recordOf(table!.columns), spec };
    const counts: [string, number][] = [];
    for await (const partition of (await scene.session.plan(record)).partitions) {
      const stream = (await scene.session.stream(record, partition)) as RowStream;
      for await (const { malformed } of stream) expect(malformed).toEqual([]);
      counts.push([partition.label, await stream.rows]);
    }
    expect(Object.fromEntries(counts)).toEqual(YEARS);
  });

  it('is refused with a wrong token, which no error repeats', async () => {
    const scene = await openScene({ ...config, options: { ...options, token: 'hunter2hunter2' } });
    const { queries: _, ...spec } = entry({ table: 'public.orders', from: 'public.orders' });
    expect((await scene.session.describe(spec)).findings).toMatchObject([
      {
        message:
          'describing table public.orders of connection "erp" was refused by ./sources/erp.ts: the API answered 401',
      },
    ]);
  });
});
