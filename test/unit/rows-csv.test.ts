import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCsv, type Input } from '../../src/connectors/rows/index.js';
import { collect, input, iterate, readOptions } from '../support/rows.js';

const AB = { a: 'bigint', b: 'text' };
const PLAIN = { header: false, delimiter: ',' };
const WITH_HEADER = { header: true, delimiter: ',' };

function read(inputs: readonly Input[], dialect = PLAIN, columns: Readonly<Record<string, string>> = AB) {
  return collect(readCsv(iterate(inputs), dialect, readOptions(columns)));
}

/** What CSV has trouble with, and everything else that a text column holds. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', '\r\n', ';', ' ', '\\.', 'é', '\u{1f980}') }),
  fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', '')),
);
const value = fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 5, arbitrary: text });
const table = fc
  .integer({ min: 1, max: 5 })
  .chain((width) => fc.array(fc.array(value, { minLength: width, maxLength: width }), { maxLength: 20 }));

/** Quotes only where they are needed, or where `always`; a record that would be an empty line needs them too. */
function print(row: readonly (string | null)[], delimiter: string, lineBreak: string, always: boolean): string {
  const field = (of: string | null) => {
    if (of === null) return '';
    const needed = always || of === '' || /[",;\t\r\n\ufeff]/.test(of);
    return needed ? `"${of.replaceAll('"', '""')}"` : of;
  };
  return row.map(field).join(delimiter) + lineBreak;
}

describe('readCsv', () => {
  it('gives every table back as it was, however it is printed and wherever it is cut', async () => {
    const property = fc.asyncProperty(
      table,
      fc.array(fc.nat(), { maxLength: 40 }),
      fc.constantFrom(',', ';', '\t'),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.boolean(),
      async (rows, cuts, delimiter, lineBreak, always, mark) => {
        const printed = rows.map((row) => print(row, delimiter, lineBreak, always));
        const columns = Object.fromEntries((rows[0] ?? [null]).map((_, index) => [`c${index}`, 'text']));
        const bytes = (mark ? '\ufeff' : '') + printed.join('');
        const seen = await read([input(bytes, { cuts })], { header: false, delimiter }, columns);
        expect(seen.rows).toEqual(rows);
        expect(seen.malformed).toEqual([]);
        expect(seen.raws).toEqual(printed.map((record) => record.slice(0, -lineBreak.length)));
        const before = printed.map((_, index) => printed.slice(0, index).join(''));
        expect(seen.places).toEqual(before.map((head) => ({ line: head.split('\n').length })));
        expect(seen.count).toBe(rows.length);
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });

  it('reads what another parser reads', async () => {
    const record = fc.string({ unit: fc.constantFrom('a', ',', '"', '"', ' ', 'é'), maxLength: 12 });
    const property = fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 8 }), async (records) => {
      const seen = await read([input(records.map((line) => `${line}\n`).join(''))], PLAIN, { a: 'text' }).catch(
        () => null,
      );
      if (seen === null) return; // within quotes at the end
      for (const [index, raw] of seen.raws.entries()) {
        expect(parse(`${raw!}\n`)).toEqual([seen.rows[index]!.map((field) => field ?? '')]);
      }
      for (const { raw, error } of seen.malformed) {
        if (error.startsWith('it has')) expect((parse(`${raw}\n`) as unknown[][])[0]!.length).not.toBe(1);
        else expect(() => parse(`${raw}\n`) as unknown).toThrow(/Quote/);
      }
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it('tells NULL from the empty string', async () => {
    expect((await read([input('1,\n2,""\n,x\n"",""""\n')])).rows).toEqual([
      ['1', null],
      ['2', ''],
      [null, 'x'],
      ['', '"'],
    ]);
    expect((await read([input('\n""\n')], PLAIN, { a: 'text' })).rows).toEqual([[null], ['']]);
  });

  it('never makes a number of a digit', async () => {
    expect((await read([input('009007199254740993,1.10\n')])).rows).toEqual([['009007199254740993', '1.10']]);
  });

  it('reads on behind a record that is none', async () => {
    const bytes = Buffer.concat([
      Buffer.from('1,x\n2\n3,y,"z\nz"\n\n4,a"b"\n5,"a"b\n5,a\rb\n6,"\0"\n7,'),
      Buffer.of(0xff),
      Buffer.from('\n8,é\n'),
    ]);
    const seen = await read([input(bytes, { name: 'part-3.csv' })]);
    expect(seen.rows).toEqual([
      ['1', 'x'],
      ['8', 'é'],
    ]);
    expect(seen.malformed.map(({ place, error }) => [place.line, error])).toEqual([
      [2, 'it has 1 field, and there are 2 columns'],
      [3, 'it has 3 fields, and there are 2 columns'],
      [5, 'it is an empty line'],
      [6, 'field 2 has a quote in it, and none around it'],
      [7, 'field 2 goes on behind its closing quote'],
      [8, 'field 2 has a carriage return in it, and no quotes around it'],
      [9, 'column "b" has a NUL character'],
      [10, 'column "b" is not UTF-8'],
    ]);
    expect(seen.malformed.map(({ raw }) => raw)).toEqual([
      '2',
      '3,y,"z\nz"',
      '',
      '4,a"b"',
      '5,"a"b',
      '5,a\rb',
      '6,"␀"',
      '7,�',
    ]);
    expect(seen.places).toEqual([1, 11].map((line) => ({ file: 'part-3.csv', line })));
    expect(seen.count).toBe(10);
  });

  it('takes columns by the names in each header, in any order', async () => {
    const files = [input('b,"a"\nx,1\n', { name: '1.csv' }), input('a,b\r\n2,y\r\n', { name: '2.csv' })];
    const seen = await read(files, WITH_HEADER);
    expect(seen.rows).toEqual([
      ['1', 'x'],
      ['2', 'y'],
    ]);
    expect(seen.places).toEqual(['1.csv', '2.csv'].map((file) => ({ file, line: 2 })));
  });

  it.each([
    ['a,Rest\n', 'lacks the column "b".'],
    ['A_,b\n', 'lacks the column "a" (it has "A_").'],
    ['a,b,c,d\n', 'has the columns "c", "d", which the table to be copied has not.'],
    ['a,b,a\n', 'has the column "a" twice.'],
    ['a,b"\n"\n', 'is no CSV: field 2 has a quote in it, and none around it.'],
  ])('refuses the header %j', async (header, problem) => {
    const reading = read([input(`${header}1,2\n`, { name: 'x.csv' })], WITH_HEADER);
    await expect(reading).rejects.toMatchObject({
      code: 'SourceRefused',
      message: `The rows of query q017 of connection "legacy" can't be read: the header of file "x.csv" ${problem}`,
    });
  });

  it('has no rows where nothing was printed, with or without a header', async () => {
    expect((await read([])).count).toBe(0);
    expect((await read([input(''), input('a,b\n')], WITH_HEADER)).count).toBe(0);
    expect((await read([input('\ufeff')], WITH_HEADER)).count).toBe(0);
  });

  it('refuses every stream that is cut within a record, and counts no rows of it', async () => {
    const whole = Buffer.from('a,b\n1,"x\n""y"\r\n22,zé\n');
    const boundaries = [0, 4, 15, 22];
    expect(whole.length).toBe(boundaries.at(-1));
    for (let end = 0; end <= whole.length; end++) {
      const stream = readCsv(iterate([input(whole.subarray(0, end))]), WITH_HEADER, readOptions(AB));
      if (boundaries.includes(end)) {
        expect((await collect(stream)).count).toBe(Math.max(0, boundaries.indexOf(end) - 1));
      } else {
        await expect(collect(stream)).rejects.toMatchObject({
          code: 'SourceFailed',
          message: expect.stringContaining('broke off in the middle of a record at line') as string,
        });
        await expect(stream.rows).rejects.toThrow('broke off');
      }
    }
  });

  it('says where a stream broke off', async () => {
    await expect(read([input('1,x\n2,"y\nz\n')])).rejects.toMatchObject({
      message:
        'The rows of query q017 of connection "legacy" can\'t be read: the stream broke off in the middle of a record at line 2, within quotes.',
    });
  });

  it('holds no more than a batch of what is there, and closes the input of a reader who stops', async () => {
    let given = 0;
    let closed = false;
    async function* endless() {
      try {
        for (;;) {
          given++;
          yield await Promise.resolve(Buffer.from('1,x\n'.repeat(5000)));
        }
      } finally {
        closed = true;
      }
    }
    const stream = readCsv(iterate([{ chunks: endless() }]), WITH_HEADER, readOptions({ 1: 'int', x: 'text' }));
    let batches = 0;
    for await (const batch of stream) {
      expect(batch.rows.length).toBeLessThanOrEqual(1000);
      if (++batches === 7) break;
    }
    expect(given).toBe(2);
    expect(closed).toBe(true);
    await expect(stream.rows).rejects.toThrow('not read to its end');
  });

  it('refuses a record that would fill the memory', async () => {
    async function* endless() {
      yield await Promise.resolve(Buffer.from('1,x\n2,"'));
      for (;;) yield await Promise.resolve(Buffer.alloc(1 << 20, '3,y\n'));
    }
    const reading = collect(readCsv(iterate([{ chunks: endless() }]), PLAIN, readOptions(AB)));
    await expect(reading).rejects.toMatchObject({
      code: 'SourceRefused',
      message: expect.stringContaining('the record that begins in line 2 of the stream is longer than 64 MB') as string,
      next: 'Look for a quote that is never closed: everything behind it is taken for one value.',
    });
  });

  it('ends with the reason of an abort', async () => {
    const abort = new AbortController();
    async function* chunks() {
      yield await Promise.resolve(Buffer.from('1,x\n'));
      abort.abort(new Error('paused'));
      yield Buffer.from('2,y\n');
    }
    const stream = readCsv(iterate([{ chunks: chunks() }]), PLAIN, readOptions(AB, abort.signal));
    await expect(collect(stream)).rejects.toThrow('paused');
  });
});
