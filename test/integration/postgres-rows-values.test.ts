import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Value } from '../../src/connectors/types.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { runSql } from '../support/postgres.js';
import { copied, rowsScene, type RowsScene } from '../support/rows-scene.js';
import { rowsOf } from '../support/rows-source.js';

let fixture: PostgresFixture;

beforeAll(async () => {
  fixture = await postgresFixture('rows_values_test');
});
afterAll(() => fixture[Symbol.asyncDispose]());

const sql = <R extends object>(text: string, values: unknown[] = []) => runSql<R>(fixture.destinationUrl, text, values);
const scene = (options: RowsScene) => rowsScene(fixture, options);

describe('values', () => {
  const finite = fc.double({ noNaN: false });
  /** Characters that mean something to COPY, arrays or JSON, and any others but NUL. */
  const text = fc
    .string({
      unit: fc.oneof(
        fc.constantFrom(...Array.from('\\\t\n\r{}",;\'NULL .|\b\f\v\u0001\u007f\u00a0\u2028')),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
      maxLength: 60,
    })
    .filter((value) => !value.includes('\0') && !/\p{Surrogate}/u.test(value));
  const int8 = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n));
  const digits = (most: number) =>
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: most }).map((all) => all.join(''));
  const numeric = fc
    .tuple(fc.constantFrom('', '-'), digits(100), digits(40))
    .map(([sign, whole, part]) => `${sign}${whole}.${part}`);
  const json = fc.jsonValue().filter((value) => !/\d{17}/.test(JSON.stringify(value)));
  const orNull = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 8 });

  /** What the table printed of each value, beside what the server makes of the same text or parameter by itself. */
  async function through(type: string, values: readonly Value[]): Promise<(string | null)[]> {
    await using s = await scene({ source: { declared: { n: 'int', v: type }, formats: ['rows'] } });
    const { record } = await copied(
      s,
      rowsOf(
        ['n', 'v'],
        values.map((value, n) => [n, value]),
      ),
    );
    const found = await sql<{ v: string | null }>(`SELECT v::text AS v FROM ${record.staging} ORDER BY n`);
    return found.map(({ v }) => v);
  }

  const sample = <T>(values: fc.Arbitrary<T>, count = 400) => fc.sample(values, { numRuns: count, seed: 7 });

  it.each([
    ['text', orNull(text), (value: string) => value],
    ['bigint', orNull(int8), String],
    ['numeric', numeric, (value: string) => value.replace(/^(-?)0+(?=\d)/, '$1').replace(/^-(0\.0*)$/, '$1')],
    [
      'bytea',
      orNull(fc.uint8Array({ maxLength: 300 })),
      (value: Uint8Array) => `\\x${Buffer.from(value).toString('hex')}`,
    ],
    ['boolean', orNull(fc.boolean()), String],
    ['json', orNull(json.filter((value) => value !== null && typeof value !== 'string')), String],
  ] as [string, fc.Arbitrary<Value>, (value: never) => string][])(
    'of %s arrive as they were',
    async (type, values, print) => {
      const given = sample(values);
      const found = await through(type, given);
      if (type === 'json') expect(found.map((each) => each && (JSON.parse(each) as unknown))).toEqual(given);
      else expect(found).toEqual(given.map((value) => (value === null ? null : print(value as never))));
    },
  );

  it('of double precision arrive bit by bit', async () => {
    const given = [...sample(finite), 0, -0, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308, 2 ** 53 + 2];
    const found = await through('double precision', given);
    expect(found.map(Number)).toEqual(given);
  });

  it('of dates and times arrive as they were written', async () => {
    const times = [
      ...[
        'infinity',
        '-infinity',
        '2024-02-29 23:59:59.999999+00',
        '0001-12-31 00:00:00.000001+00 BC',
        '294276-12-31 23:59:59.999999+00',
      ],
      ...['4713-11-24 00:00:00+00 BC', '1970-01-01 00:00:00+00'],
    ];
    expect(await through('timestamptz', [...times, null])).toEqual([...times, null]);
    expect(await through('timestamptz', ['2024-01-31T10:00:00.5+02:00'])).toEqual(['2024-01-31 08:00:00.5+00']);
    expect(await through('date', ['0044-03-15 BC', '5874897-12-31', 'infinity', '2024-01-31T00:00:00Z'])).toEqual([
      '0044-03-15 BC',
      '5874897-12-31',
      'infinity',
      '2024-01-31',
    ]);
    expect(await through('timestamp', ['2024-01-31 10:00:00.123456Z'])).toEqual(['2024-01-31 10:00:00.123456']);
  });

  it.each([
    [
      'timestamptz',
      '2024-01-31 10:00:00.1234567+00',
      'its time would be rounded: timestamp with time zone keeps 6 digits of a second, and it has 7',
    ],
    ['timestamp(0)', '2024-01-31 10:00:00.5', 'timestamp(0) without time zone keeps 0 digits'],
    [
      'timestamp',
      '2024-01-31 10:00:00+02',
      'its offset from UTC would be dropped: timestamp without time zone has no time zone',
    ],
    ['date', '2024-01-31 10:00:00', 'its time of day would be dropped: date has none'],
    ['varchar(3)', 'abc  ', 'its text is too long for character varying(3): it has 5 characters'],
    ['real', '0.1234567891', 'its number would be rounded: real keeps up to 9 digits, and it has 10'],
    ['numeric(5,-2)', '1250', 'its number would be rounded: numeric(5,-2) keeps no digit but those before the last 2'],
    ['numeric(12,2)[]', '{1.10,1.239}', 'keeps 2 digits after the point, and it has 3'],
    ['json', NaN, 'JSON has no NaN'],
  ] as [string, Value, string][])('of %s that it would change are refused: %s', async (type, value, message) => {
    await expect(through(type, [value])).rejects.toThrow(message);
  });

  it('of numeric(p,s) and real that lose nothing are taken', async () => {
    expect(await through('numeric(12,2)', ['1.500', '15e-1', '-0.10', 'NaN', 7, 12n, '1e3'])).toEqual([
      '1.50',
      '1.50',
      '-0.10',
      'NaN',
      '7.00',
      '12.00',
      '1000.00',
    ]);
    expect(await through('real', [0.1, Math.fround(0.1), '3.4028235e38', 16777216])).toEqual([
      '0.1',
      '0.1',
      '3.4028235e+38',
      '1.6777216e+07',
    ]);
  });

  it('of arrays arrive element by element', async () => {
    const given = sample(fc.array(orNull(text), { minLength: 0, maxLength: 8 }));
    await using s = await scene({ source: { declared: { n: 'int', v: 'text[]' }, formats: ['rows'] } });
    const { record } = await copied(
      s,
      rowsOf(
        ['n', 'v'],
        given.map((value, n) => [n, value]),
      ),
    );
    const found = await sql<{ v: (string | null)[] }>(`SELECT v FROM ${record.staging} ORDER BY n`);
    expect(found.map(({ v }) => v)).toEqual(given);
    expect(
      await through('bigint[]', [
        [
          [1n, null],
          [2, '3'],
        ],
        [],
      ]),
    ).toEqual(['{{1,NULL},{2,3}}', '{}']);
    expect(await through('bytea[]', [[Uint8Array.of(0, 92, 255)]])).toEqual(['{"\\\\x005cff"}']);
    expect(await through('box[]', [['(1,1),(0,0)', '(2,2),(1,1)']])).toEqual(['{(1,1),(0,0);(2,2),(1,1)}']);
    expect(await through('jsonb[]', [[{ a: ['x"y'] }, [1]]])).toEqual(['{"{\\"a\\": [\\"x\\\\\\"y\\"]}",[1]}']);
  });

  it('of JSON keep the digits of their bigints', async () => {
    const value = { id: 12345678901234567890n, list: [1.5, null, 'a\u0001"'] };
    expect(await through('jsonb', [value, '"text"', 'null', true])).toEqual([
      '{"id": 12345678901234567890, "list": [1.5, null, "a\\u0001\\""]}',
      '"text"',
      'null',
      'true',
    ]);
  });

  it("of a type of the server's own are given as texts", async () => {
    await sql(`CREATE TYPE public.mood AS ENUM ('so, so', 'good')`);
    expect(await through('public.mood', ['so, so', null])).toEqual(['so, so', null]);
    expect(await through('uuid', ['0f8fad5b-d9cb-469f-a165-70867728950e'])).toEqual([
      '0f8fad5b-d9cb-469f-a165-70867728950e',
    ]);
    await expect(through('uuid', [5])).rejects.toThrow('a number is no value of type uuid');
  });

  it('that are long go through frames of their own', async () => {
    const long = 'é\\'.repeat(300_000);
    expect(await through('text', [long, 'x', long])).toEqual([long, 'x', long]);
  });
});
