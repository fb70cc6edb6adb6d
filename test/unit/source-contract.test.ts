import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { defineSource, FatalError } from '../../src/index.js';
import { sourceContract, type ContractOptions } from '../../src/testing/index.js';
import { moduleFile } from '../support/modules.js';

const OPTIONS: ContractOptions = {
  table: 'orders',
  queries: [
    { id: 'a', sql: '3' },
    { id: 'b', sql: '0' },
  ],
  columns: { id: 'bigint' },
  wrongQuery: { id: 'w', sql: 'wrong' },
};

const good = defineSource({
  open: () => ({ close: () => undefined }),
  async *stream(_, { query, signal }) {
    const count = Number(query);
    if (Number.isNaN(count)) throw new FatalError('no number');
    for (let id = 0; id < count; id++) {
      await sleep(0, undefined, { signal });
      yield [{ id }];
    }
  },
});

describe('a good source keeps the contract', () => {
  for (const { name, run } of sourceContract(good, OPTIONS)) it(name, run);
});

describe('a good module, from its file', () => {
  const { path } = moduleFile(`import { defineSource } from 'longhaul';
    export default defineSource({
      open: () => undefined,
      describe: () => ({ columns: [{ name: 'id', type: 'int' }] }),
      plan: () => [{ id: 'all', query: 'all' }],
      stream: () => [{ id: 1 }],
    });`);
  for (const { name, run } of sourceContract(path, { table: 'orders' })) it(name, run);
});

describe('what breaks the contract is told', () => {
  /** The checks that fail, with what they say. */
  async function failures(source: Parameters<typeof sourceContract>[0], options = OPTIONS): Promise<string[]> {
    const said: string[] = [];
    for (const { name, run } of sourceContract(source, options)) {
      await run().catch((error: unknown) => said.push(`${name}: ${(error as Error).message.split('\n')[0]!}`));
    }
    return said;
  }

  it('when sessions are shared', async () => {
    const shared = {};
    expect(await failures({ ...good, open: () => shared })).toEqual([
      'opens a session of its own for each attempt: two attempts got the same session',
    ]);
  });

  it('when one session ends with another', async () => {
    let current = 0;
    const source = defineSource({
      open: () => ({ number: ++current, close: () => (current = 0) }),
      *stream(session) {
        for (let id = 0; id < 3 && current !== 0; id++) yield [{ id: session.number * 10 + id }];
      },
    });
    expect((await failures(source, { ...OPTIONS, wrongQuery: undefined })).join()).toContain(
      'reads in two sessions at once, of which one ends early: the end of one session changed what the other one read',
    );
  });

  it('when counts, columns or plans change', async () => {
    let calls = 0;
    const source = defineSource({
      open: () => ({}),
      describe: () => ({ columns: [{ name: `c${++calls}`, type: 'int' }] }),
      plan: () => [{ id: String(++calls), query: 'x' }],
      stream: (_, { columns }) => Array.from({ length: ++calls }, () => ({ [columns[0]!]: 1 })),
    });
    const said = (await failures(source as never, { table: 'orders' })).map((each) => each.split(':')[0]);
    expect(said).toEqual(
      expect.arrayContaining([
        'tells the same of a table each time',
        'cuts a table the same each time',
        'gives the same number of rows each time',
      ]),
    );
  });

  it('when values are not exact', async () => {
    const source = defineSource({ open: () => ({}), stream: () => [{ id: new Date(0) as never }] });
    expect((await failures(source, { ...OPTIONS, wrongQuery: undefined })).join()).toContain(
      'gives only rows that can be written exactly: row 1: column "id" holds a Date',
    );
  });

  it('when it does not end', async () => {
    const source = defineSource({
      open: () => ({}),
      async *stream(_, { query }) {
        yield [{ id: query.length }];
        await sleep(query === '3' ? 3_500 : 0);
      },
    });
    const options = { ...OPTIONS, queries: [{ id: 'a', sql: '3' }] };
    delete (options as { wrongQuery?: unknown }).wrongQuery;
    const check = sourceContract(source, options).find(({ name }) => name.startsWith('ends soon'))!;
    await expect(check.run()).rejects.toThrow(/it did not end by itself/);
  });

  it('when a wrong query is answered, or refused with any error', async () => {
    const answered = defineSource({ open: () => ({}), stream: () => [{ id: 1 }] });
    expect(await failures(answered)).toEqual([
      'refuses a wrong query: the wrong query was answered, and not refused',
      'says of a wrong query whether trying again can help: throw a RetryableError or a FatalError',
    ]);
    const vague = defineSource({
      open: () => ({}),
      stream: (_, { query }) => (query === 'wrong' ? undefined!['x'] : [{ id: 1 }]),
    });
    expect(await failures(vague)).toEqual([
      'says of a wrong query whether trying again can help: throw a RetryableError or a FatalError',
    ]);
  });
});
