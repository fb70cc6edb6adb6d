import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { defineSource, FatalError, RetryableError, type SourceRow } from '../../src/index.js';
import type { RowStream } from '../../src/connectors/types.js';
import { batchesOf, entry, QUERY, recordOf, sceneOf } from '../support/modules.js';

const nothing = async function* () {};

/** A source of these items, whatever is asked. */
const giving = (...items: unknown[]) =>
  defineSource({ open: () => ({}), stream: () => items as readonly (SourceRow | readonly SourceRow[])[] });

describe('rows of a module', () => {
  it('come one by one or in lists, in the order of the columns', async () => {
    const scene = await sceneOf(
      giving(
        { b: 'x', a: 1, other: 2 },
        [
          { a: 2, b: null },
          { a: 3, b: '' },
        ],
        [],
      ),
    );
    const batches = await batchesOf(scene, ['a', 'b']);
    expect(batches.flatMap(({ rows }) => rows)).toEqual([
      [1, 'x'],
      [2, null],
      [3, ''],
    ]);
    expect(batches[0]!.place!(2)).toEqual({ line: 3 });
  });

  it('are exact: every kind of value is handed on as it is', async () => {
    const values = [null, true, 1.5, 2n ** 70n, NaN, '\u0000', Buffer.from([0, 255]), [1, null], { deep: [{ n: 1n }] }];
    const [batch] = await batchesOf(await sceneOf(giving(...values.map((v) => ({ v: v })))), ['v']);
    expect(batch!.malformed).toEqual([]);
    expect(batch!.rows.map(([value]) => value)).toEqual(values);
  });

  it.each<[string, unknown, string]>([
    ['a Date', { a: new Date(0) }, 'column "a" holds a Date, which is exact to the millisecond only'],
    ['a Date within', { a: { at: [new Date(0)] } }, 'column "a" holds a Date'],
    ['a missing value', { b: 1 }, 'column "a" holds nothing: NULL is written null'],
    ['undefined', { a: undefined }, 'column "a" holds nothing'],
    ['a class', { a: new Map() }, 'column "a" holds an object of class Map'],
    ['a function', { a: () => 1 }, 'column "a" holds a function'],
    ['a text', 'row', 'it is of type string, not an object'],
    ['a list in a list', [[1]], 'it is a list, not an object'],
    ['null', null, 'it is null, not an object'],
  ])('that hold %s are malformed, each by itself', async (_, wrong, error) => {
    const scene = await sceneOf(giving({ a: 1 }, wrong, { a: 2 }));
    const stream = (await scene.session.stream(recordOf(['a']), QUERY)) as RowStream;
    const batches = [];
    for await (const batch of stream) batches.push(batch);
    expect(batches.flatMap(({ rows }) => rows)).toEqual([[1], [2]]);
    expect(batches.flatMap(({ malformed }) => malformed)).toMatchObject([
      { place: { line: 2 }, error: expect.stringContaining(error) as string },
    ]);
    expect(await stream.rows).toBe(3);
  });

  it('are pulled: nothing is read ahead of who takes them', async () => {
    let made = 0;
    const source = defineSource({
      open: () => ({}),
      *stream() {
        for (;;) yield Array.from({ length: 500 }, () => ({ a: ++made }));
      },
    });
    const stream = (await (await sceneOf(source)).session.stream(recordOf(['a']), QUERY)) as RowStream;
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    await sleep(20);
    expect(made).toBe(1_000);
    await iterator.return!();
    await expect(stream.rows).rejects.toThrow('not read to its end');
  });

  it('come in batches that bound what is in memory', async () => {
    const text = 'x'.repeat(100_000);
    const batches = await batchesOf(await sceneOf(giving(Array.from({ length: 10 }, () => ({ a: text })))), ['a']);
    expect(batches.map(({ rows }) => rows.length)).toEqual([3, 3, 3, 1]);
  });
});

describe('errors of a module', () => {
  const failing = (error: unknown) =>
    defineSource({
      open: () => ({}),
      async *stream() {
        await Promise.resolve();
        yield { a: 1 };
        throw error;
      },
    });
  const thrown = async (error: unknown, options = {}) =>
    batchesOf(await sceneOf(failing(error), options), ['a']).catch((caught: unknown) => caught);

  it('are told by their class, with their own words', async () => {
    const retried = await thrown(new RetryableError('the ERP is at lunch'));
    expect(retried).toMatchObject({
      code: 'SourceFailed',
      message: 'Query q017 of connection "api" failed in ./erp.ts: the ERP is at lunch.',
    });
    const refused = await thrown(new FatalError('no such view'));
    expect(refused).toMatchObject({
      code: 'SourceRefused',
      message: 'Query q017 of connection "api" was refused by ./erp.ts: no such view.',
    });
    for (const error of [retried, refused]) expect(error).not.toHaveProperty('cause');
  });

  it('are tried again when nothing is known of them, and their stack says where', async () => {
    const error = new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) });
    expect(await thrown(error)).toMatchObject({
      code: 'SourceFailed',
      message: 'Query q017 of connection "api" failed in ./erp.ts: TypeError: fetch failed (ECONNREFUSED).',
      cause: error,
    });
    expect(await thrown('a text')).toMatchObject({ code: 'SourceFailed' });
  });

  it('may be of a class from another copy of this package', async () => {
    class FatalErrorOfAnotherCopy extends Error {
      override readonly name = 'FatalError';
    }
    expect(await thrown(new FatalErrorOfAnotherCopy('x'))).toMatchObject({ code: 'SourceRefused' });
  });

  it('are bounded, and hold neither a value of the options nor the query', async () => {
    const { message } = (await thrown(
      new RetryableError(`401 for hunter2 in ${QUERY.predicate}! ${'x'.repeat(5_000)}`),
      {
        login: { password: 'hunter2' },
      },
    )) as Error;
    expect(message).toContain('401 for [secret] in [secret]! x');
    expect(message.length).toBeLessThan(1_200);
  });

  it('in opening and describing are said as such', async () => {
    const refused = new FatalError('wrong password');
    const scene = await sceneOf(defineSource({ open: () => Promise.reject(refused), stream: nothing }));
    expect(await scene.session.checkServer({ sessions: 1 })).toEqual([
      {
        severity: 'problem',
        path: '',
        message: 'opening connection "api" was refused by ./erp.ts: wrong password',
        fix: "mend what it complains of, then retry: the module says that trying again by itself can't help.",
      },
    ]);
    expect(await scene.session.describe(entry())).toEqual({ findings: [] });
    await expect(scene.session.stream(recordOf(['a']), QUERY)).rejects.toMatchObject({ code: 'SourceRefused' });
  });
});

describe('a session of a module', () => {
  it('is opened with what longhaul.yaml says, once, and closed by what it has', async () => {
    const closed: string[] = [];
    const opened: unknown[] = [];
    const closers = [
      {
        [Symbol.asyncDispose]: () => Promise.resolve(void closed.push('asyncDispose')),
        close: () => closed.push('no'),
      },
      { [Symbol.dispose]: () => void closed.push('dispose') },
      { close: () => closed.push('close') },
      undefined,
    ];
    for (const session of closers) {
      const source = defineSource({
        open: ({ options, attempt }) => {
          opened.push([options, attempt]);
          return session;
        },
        stream: nothing,
      });
      const scene = await sceneOf(source, { url: 'x' });
      await batchesOf(scene, ['a']);
      await batchesOf(scene, ['a']);
      await scene.session[Symbol.asyncDispose]();
      await scene.session[Symbol.asyncDispose]();
    }
    expect(closed).toEqual(['asyncDispose', 'dispose', 'close']);
    expect(opened).toEqual(closers.map(() => [{ url: 'x' }, 2]));
  });

  it('that closes badly is told, and hides no error', async () => {
    const source = defineSource({
      open: () => ({ close: () => Promise.reject(new Error('lost')) }),
      async *stream() {
        await Promise.resolve();
        yield { a: 1 };
        throw new RetryableError('first');
      },
    });
    const scene = await sceneOf(source);
    await expect(batchesOf(scene, ['a'])).rejects.toThrow('first');
    await scene.session[Symbol.asyncDispose]();
    expect(scene.warnings).toEqual(['Connection "api" did not close well {"error":"lost"}']);
  });

  it('that ignores the abort holds nobody', async () => {
    const source = defineSource({
      open: () => ({ close: () => new Promise(() => undefined) }),
      async *stream() {
        yield [{ a: 1 }];
        await new Promise(() => undefined);
      },
    });
    const scene = await sceneOf(source);
    const stream = (await scene.session.stream(recordOf(['a']), QUERY)) as RowStream;
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const reason = new Error('aborted by the test');
    setTimeout(() => scene.abort.abort(reason), 10);
    await expect(iterator.next()).rejects.toBe(reason);
    await scene.session[Symbol.asyncDispose]();
    expect(scene.warnings).toEqual([
      'Query q017 of connection "api": the rest of its rows did not close within 3 s and was given up {}',
      'Connection "api" did not close within 3 s and was given up {}',
    ]);
  });

  it('that honours the abort ends its iteration before it is closed', async () => {
    const told: string[] = [];
    const source = defineSource({
      open: () => ({ close: () => told.push('session') }),
      async *stream(_, { signal }) {
        try {
          yield [{ a: 1 }];
          await sleep(60_000, undefined, { signal });
        } finally {
          told.push('iteration');
        }
      },
    });
    const scene = await sceneOf(source);
    const stream = (await scene.session.stream(recordOf(['a']), QUERY)) as RowStream;
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    setTimeout(() => scene.abort.abort(new Error('aborted by the test')), 10);
    await expect(iterator.next()).rejects.toThrow('aborted by the test');
    await scene.session[Symbol.asyncDispose]();
    expect([told, scene.warnings]).toEqual([['iteration', 'session'], []]);
  });

  it('that opens when nobody waits any more is closed', async () => {
    let open!: (session: object) => void;
    const closed: string[] = [];
    const source = defineSource({ open: () => new Promise<object>((resolve) => (open = resolve)), stream: nothing });
    const scene = await sceneOf(source);
    const stream = scene.session.stream(recordOf(['a']), QUERY);
    setTimeout(() => scene.abort.abort(new Error('aborted by the test')), 10);
    await expect(stream).rejects.toThrow('aborted by the test');
    await scene.session[Symbol.asyncDispose]();
    open({ close: () => closed.push('late') });
    await expect.poll(() => closed).toEqual(['late']);
  });
});
