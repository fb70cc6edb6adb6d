import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readParquet } from '../../src/connectors/rows/index.js';
import { collect, iterate, readOptions } from '../support/rows.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));
const ROWS = { id: 'bigint', word: 'text', note: 'text' };

/** By the name of a fixture, or by path. */
function read(columns: Readonly<Record<string, string>>, ...files: string[]) {
  const paths = files.map((file) => (file.includes('/') ? file : join(FIXTURES, `${file}.parquet`)));
  return collect(readParquet(iterate(paths), readOptions(columns)));
}

/** Values by column. */
async function values(file: string, columns: Readonly<Record<string, string>>) {
  const { rows, malformed } = await read(columns, file);
  expect(malformed).toEqual([]);
  return Object.fromEntries(Object.keys(columns).map((name, index) => [name, rows.map((row) => row[index])]));
}

/** What test/fixtures/parquet/make.py writes as ROWS. */
function madeRows(count: number) {
  return Array.from({ length: count }, (_, n) => [
    BigInt(n),
    n % 5 === 0 ? null : `word ${n % 7}`,
    `note ${(n * 7919) % 100003}`,
  ]);
}

describe('readParquet', () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'longhaul-parquet-'))));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('reads numbers exactly', async () => {
    const names = ['i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'f16', 'f32', 'f64', 'flag', 'nothing'];
    expect(await values('numbers', Object.fromEntries(names.map((name) => [name, 'numeric'])))).toEqual({
      i8: [-128, 127, null],
      i16: [-32768, 32767, null],
      i32: [-2147483648, 2147483647, null],
      i64: [-9223372036854775808n, 9223372036854775807n, null],
      u8: [0, 255, null],
      u16: [0, 65535, null],
      u32: [0, 4294967295, null],
      u64: [0n, 18446744073709551615n, null],
      f16: [-0.0999755859375, Infinity, null],
      f32: [Math.fround(0.1), -Infinity, null],
      f64: ['-0', NaN, null],
      flag: [true, false, null],
      nothing: [null, null, null],
    });
  });

  it('reads decimals digit by digit, however they are stored', async () => {
    const small = { d9: ['-0.05', '9999999.99', null], d18: ['-99999999999999.9999', '0.0001', null] };
    expect(await values('decimals', { d9: 'numeric', d18: 'numeric(18,4)', d38: 'numeric', d76: 'text' })).toEqual({
      ...small,
      d38: ['-1234567890123456789012345678.0123456789', '0.0000000001', null],
      d76: [`-${'9'.repeat(76)}`, `1${'0'.repeat(75)}`, null],
    });
    expect(await values('decimals-as-integers', { d9: 'numeric', d18: 'numeric' })).toEqual(small);
  });

  it('reads dates and times to the microsecond, beyond the year 9999 and before Christ', async () => {
    const local = [
      '2024-01-31 10:00:00.123456',
      '1969-12-31 23:59:59.999999',
      '0001-01-01 00:00:00',
      '0001-12-31 23:59:59.999999 BC',
      '10000-01-01 00:00:00',
      '4714-11-24 00:00:00 BC', // where Postgres's calendar begins
      '294247-01-10 04:00:54.775807',
      null,
    ];
    const columns = {
      day: 'date',
      clock_ms: 'time without time zone',
      clock_us: 'time with time zone',
      local_ms: 'timestamp without time zone',
      local_us: 'timestamp without time zone',
      utc_us: 'timestamp with time zone',
    };
    expect(await values('times', columns)).toEqual({
      day: [
        '2024-01-31',
        '1969-12-31',
        '0001-01-01',
        '0001-12-31 BC',
        '10000-01-01',
        '0001-01-01 BC',
        '294247-01-10',
        null,
      ],
      clock_ms: ['00:00:00', '00:00:00.001', '23:59:59.999', '12:00:00', '00:00:01', '00:01:00', '01:00:00', null],
      clock_us: [
        ...['00:00:00+00', '00:00:00.000001+00', '23:59:59.999999+00', '12:00:00+00', '00:00:00.1+00', '00:01:00+00'],
        ...['00:00:00.000001+00', null],
      ],
      local_ms: local.map((text) => text?.replace(/(\.\d{3})\d{3}/, '$1') ?? null),
      local_us: local,
      utc_us: local.map((text) => text?.replace(/( BC)?$/, '+00$1') ?? null),
    });
    expect(await values('int96', { local: 'timestamp' })).toEqual({
      local: ['2024-01-31 10:00:00.123456', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00', null],
    });
  });

  it('never cuts nanoseconds off', async () => {
    const { rows, places, malformed, count } = await read({ at: 'timestamptz' }, 'nanos');
    const texts = ['2024-01-31 10:00:00.123456+00', '1969-12-31 23:59:59.999999+00', '1970-01-01 00:00:00+00'];
    expect(rows).toEqual([...texts, '2262-04-11 23:47:16.854775+00', null].map((text) => [text]));
    expect(places.map((place) => place?.line)).toEqual([1, 2, 4, 6, 7]);
    const error = 'column "at" has a time with nanoseconds, and no type holds more than microseconds';
    expect(malformed).toEqual([
      { raw: '{"at":"1"}', place: { file: 'nanos.parquet', line: 3 }, error },
      { raw: '{"at":"-999"}', place: { file: 'nanos.parquet', line: 5 }, error },
    ]);
    expect(count).toBe(7);
  });

  it('reads texts and bytes as the column is one or the other', async () => {
    const { rows, malformed } = await read(
      { t: 'text', bytes: 'bytea', fixed: 'bytea', choice: 'text', large: 'jsonb' },
      'texts',
    );
    expect(rows).toEqual([
      ['', Uint8Array.of(), Uint8Array.of(0, 1, 2), 'a', 'x'],
      ['é🦀\n"\',', Uint8Array.of(0, 255), new TextEncoder().encode('abc'), 'b', 'y'],
      [null, null, null, null, null],
      ['NULL', new TextEncoder().encode('abc'), new TextEncoder().encode('   '), 'a', 'z'],
    ]);
    expect(malformed).toEqual([
      {
        raw: '{"t":"a\\u0000b","bytes":"78","fixed":"ffffff","choice":"a","large":"z"}',
        place: { file: 'texts.parquet', line: 4 },
        error: 'column "t" has a NUL character',
      },
    ]);
    const asTexts = await read({ t: 'text', bytes: 'varchar', fixed: 'text', choice: 'text', large: 'text' }, 'texts');
    expect(asTexts.rows.map((row) => row[1])).toEqual([null, 'abc']);
    expect(asTexts.malformed.map(({ error }) => error)).toEqual([
      'column "fixed" has a NUL character',
      'column "bytes" is not UTF-8',
      'column "t" has a NUL character',
    ]);
    expect(await values('uuid', { id: 'uuid' })).toEqual({ id: ['00010203-0405-0607-0809-0a0b0c0d0e0f', null] });
    expect(await values('json', { j: 'jsonb' })).toEqual({ j: ['{"b":1.10}', null] });
  });

  it('makes lists of lists, and exact JSON of everything', async () => {
    const max = 9223372036854775807n;
    const columns = { struct: 'jsonb', structs: 'jsonb[]', map: 'json', days: 'jsonb' };
    const struct = `{"x":${max},"y":["a\\"",null],"when":"2024-01-31"}`;
    const others = {
      struct: [struct, '{"x":null,"y":[],"when":null}', null, '{"x":1,"y":null,"when":null}'],
      map: ['{"k":1,"__proto__":null}', '{}', null, '{"":2}'],
      days: ['{"2024-01-31":[0.5,null]}', '{}', null, '{"0001-01-01":null}'],
    };
    expect(await values('nested', { ...columns, ints: 'bigint[]', grid: 'numeric(9,2)[][]' })).toEqual({
      ...others,
      ints: [[1n, null, max], [], null, [3n]],
      grid: [[['1.10'], [null]], [], null, [null, []]],
      structs: [['{"x":1,"y":null,"when":null}', null], [], null, ['{"x":2,"y":["b"],"when":null}']],
    });
    expect(await values('nested', { ...columns, structs: 'jsonb', ints: 'jsonb', grid: 'json' })).toEqual({
      ...others,
      ints: [`[1,null,${max}]`, '[]', null, '[3]'],
      grid: ['[[1.10],[null]]', '[]', null, '[null,[]]'],
      structs: ['[{"x":1,"y":null,"when":null},null]', '[]', null, '[{"x":2,"y":["b"],"when":null}]'],
    });
  });

  it.each([
    [{ struct: 'text' }, 'column "struct" of file "nested.parquet" is a struct, and the table\'s is text.'],
    [{ ints: 'bigint' }, 'column "ints" of file "nested.parquet" is a list, and the table\'s is bigint.'],
    [{ map: 'jsonb[]' }, 'column "map" of file "nested.parquet" is a map, and the table\'s is jsonb[].'],
    [{ id: 'bigint' }, 'file "nested.parquet" lacks the column "id".'],
  ])('refuses a file for %j', async (changed, problem) => {
    const columns = { ints: 'jsonb', grid: 'jsonb', struct: 'jsonb', structs: 'jsonb', map: 'jsonb', days: 'jsonb' };
    await expect(read({ ...columns, ...changed }, 'nested')).rejects.toMatchObject({
      code: 'SourceRefused',
      message: `The rows of query q017 of connection "legacy" can't be read: ${problem}`,
    });
  });

  it.each(['groups', 'plain', 'deltas'])('reads every row of %s in order, by name, in batches', async (file) => {
    const { note, word, id } = ROWS;
    const { rows, places, batches, count } = await read({ note, id, word }, file);
    expect(rows).toEqual(madeRows(2500).map(([a, b, c]) => [c, a, b]));
    expect(places).toEqual(rows.map((_, index) => ({ file: `${file}.parquet`, line: index + 1 })));
    expect(batches).toBeGreaterThan(2);
    expect(count).toBe(2500);
  });

  it('reads all codecs, one file after the other', async () => {
    const files = ['snappy', 'gzip', 'brotli', 'zstd', 'lz4'].map((codec) => `codec-${codec}`);
    const { rows, places } = await read(ROWS, ...files, 'empty');
    expect(rows).toEqual(files.flatMap(() => madeRows(200)));
    expect(places[200]).toEqual({ file: 'codec-gzip.parquet', line: 1 });
    expect((await read(ROWS)).count).toBe(0);
  });

  it('refuses every file that is cut, and one that is none', async () => {
    const whole = await readFile(join(FIXTURES, 'codec-snappy.parquet'));
    const path = join(folder, 'cut.parquet');
    for (const size of [0, 3, 8, 100, whole.length - 100, whole.length - 1]) {
      await writeFile(path, whole.subarray(0, size));
      const reading = read(ROWS, 'codec-snappy', path);
      await expect(reading).rejects.toMatchObject({
        code: 'SourceFailed',
        message: expect.stringContaining('file "cut.parquet" can\'t be read as a Parquet file') as string,
      });
    }
    await expect(read(ROWS, join(folder, 'gone.parquet'))).rejects.toMatchObject({ code: 'SourceFailed' });
  });

  it('ends its thread with the reason of an abort, and when the reader stops', async () => {
    const threads = () => process.getActiveResourcesInfo().filter((resource) => resource === 'MessagePort').length;
    const before = threads();
    const abort = new AbortController();
    const paths = () => iterate([join(FIXTURES, 'groups.parquet')]);
    const stream = readParquet(paths(), readOptions(ROWS, abort.signal));
    const reading = (async () => {
      for await (const batch of stream) if (batch.rows.length > 0) abort.abort(new Error('paused'));
    })();
    await expect(reading).rejects.toThrow('paused');
    await expect(stream.rows).rejects.toThrow('paused');
    for await (const batch of readParquet(paths(), readOptions(ROWS))) if (batch.rows.length > 0) break;
    expect(threads()).toBe(before);
  });
});
