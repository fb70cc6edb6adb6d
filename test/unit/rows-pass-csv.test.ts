import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passCsv, readCsv, type Input } from '../../src/connectors/rows/index.js';
import { collect, input, iterate, readOptions } from '../support/rows.js';

const AB = { a: 'bigint', b: 'text' };
const PLAIN = { header: false, delimiter: ',' };
const WITH_HEADER = { header: true, delimiter: ',' };

async function pass(inputs: readonly Input[], dialect = PLAIN) {
  const stream = await passCsv(iterate(inputs), dialect, readOptions(AB));
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { text: Buffer.concat(chunks).toString(), rows: await stream.rows, stream, chunks: chunks.length };
}

/** A value as it stands in CSV. */
const field = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '1', '\\', '.', ' ', 'é') }),
  fc
    .string({ unit: fc.constantFrom('a', ',', '""', '\n', '\r\n', '\r', '\\.\n') })
    .map((text) => `"${text.replaceAll('\r"', '"')}"`),
);
const records = fc.array(fc.tuple(field, field), { maxLength: 30 });

describe('passCsv', () => {
  it('passes records on as they are, without headers, counted, each line ending in LF', async () => {
    const file = fc.record({
      rows: records,
      lineBreak: fc.constantFrom('\n', '\r\n'),
      cuts: fc.array(fc.nat(), { maxLength: 60 }),
    });
    const property = fc.asyncProperty(fc.array(file, { maxLength: 3 }), fc.boolean(), async (files, header) => {
      const inputs = files.map(({ rows, lineBreak, cuts }, index) => {
        const printed = [...(header ? [['b', '"a"']] : []), ...rows].map((row) => row.join(',') + lineBreak);
        return input(printed.join(''), { cuts, name: `${index}.csv` });
      });
      const seen = await pass(inputs, { header, delimiter: ',' });
      const expected = files.flatMap(({ rows }) => rows.map((row) => `${row.join(',')}\n`));
      expect(seen.text).toBe(expected.join(''));
      expect(seen.rows).toBe(expected.length);
      expect(seen.stream.columns).toEqual(header && files.length > 0 ? ['b', 'a'] : undefined);
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it('counts and cuts as readCsv does', async () => {
    const property = fc.asyncProperty(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r') }), async (text) => {
      const settled = (promise: Promise<{ count: number } | { rows: number }>) =>
        promise.then(
          (seen) => ('count' in seen ? seen.count : seen.rows),
          (error: unknown) => String(error),
        );
      const read = await settled(collect(readCsv(iterate([input(text)]), PLAIN, readOptions(AB))));
      expect(await settled(pass([input(text)]))).toBe(read);
    });
    await fc.assert(property, { numRuns: 1000 });
  });

  it('copies nothing that needs no change', async () => {
    const chunks = [Buffer.alloc(5000, '1,x\n'), Buffer.alloc(5000, '2,"y\n'), Buffer.alloc(6000, '3,x\r\n')];
    const stream = await passCsv(iterate([{ chunks: iterate(chunks) }]), PLAIN, readOptions(AB));
    const same: boolean[] = [];
    for await (const chunk of stream) same.push(chunk.buffer === chunks[same.length]!.buffer);
    expect(same).toEqual([true, true, false]);
  });

  it('knows where a line of the stream stands, as Postgres counts them', async () => {
    const inputs = [
      input('a,b\r\n1,"x\r\ny\nz"\r\n2,"x\ny\nz"\r\n3,x\r\n', { name: '1.csv' }),
      input('', { name: '2.csv' }),
      input('a,"b"\n4,x\n5,"\n"\n', { name: '3.csv' }),
    ];
    const { stream } = await pass(inputs, WITH_HEADER);
    // Within the first record it counts carriage returns, and no line feeds; any other of several lines is told by its last.
    const places = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((line) => stream.place!(line));
    expect(places).toEqual([
      { file: '1.csv', line: 2 },
      { file: '1.csv', line: 2 },
      { file: '1.csv', line: 5 },
      { file: '1.csv', line: 6 },
      { file: '1.csv', line: 7 },
      { file: '1.csv', line: 8 },
      { file: '3.csv', line: 2 },
      { file: '3.csv', line: 3 },
      { file: '3.csv', line: 4 },
    ]);
  });

  it('refuses every stream that is cut within a record', async () => {
    const whole = 'a,b\r\n1,"x\n""y"\r\n22,zé\r\n';
    const ends = [0, 5, 16, 24];
    expect(Buffer.byteLength(whole)).toBe(ends.at(-1));
    for (let end = 0; end <= Buffer.byteLength(whole); end++) {
      const passing = pass([input(Buffer.from(whole).subarray(0, end), { name: 'x.csv' })], WITH_HEADER);
      if (ends.includes(end)) expect((await passing).rows).toBe(Math.max(0, ends.indexOf(end) - 1));
      else await expect(passing).rejects.toMatchObject({ code: 'SourceFailed' });
    }
  });

  it('refuses one also between two files', async () => {
    const passing = pass([input('1,x', { name: '1.csv' }), input('\n2,y\n', { name: '2.csv' })]);
    await expect(passing).rejects.toMatchObject({
      code: 'SourceFailed',
      message: `The rows of query q017 of connection "legacy" can't be read: file "1.csv" broke off in the middle of a record at line 1.`,
      next: 'The next attempt reads it anew. If the program had ended well, it has to print a line break behind the last record too.',
    });
  });

  it('refuses a record that some servers take for the end, wherever it is cut, and not what only looks like it', async () => {
    for (const lineBreak of ['\n', '\r\n', '\r']) {
      const bytes = `1,"x\n\\.\n"\n\\.${lineBreak}2,y\n`;
      for (let cut = 0; cut < bytes.length; cut++) {
        await expect(pass([input(bytes, { cuts: [cut, cut + 1] })])).rejects.toMatchObject({
          code: 'SourceRefused',
          message:
            'The rows of query q017 of connection "legacy" can\'t be read: line 4 of the stream is \\. alone, which some servers take for the end of the data.',
          next: 'Print it in quotes ("\\.") if it is a value; leave it out if it is to mean the end.',
        });
      }
    }
    const harmless = '"\\."\n\\.,\n\\. \n \\.\nx\\.\n\\..\n\\\n.\n"\n\\.\n"\n';
    for (let cut = 0; cut < harmless.length; cut++) {
      expect((await pass([input(harmless, { cuts: [cut, cut + 1] })])).rows).toBe(9);
    }
  });

  it('refuses a NUL character', async () => {
    await expect(pass([input('1,x\n2,"\ny\0"\n')])).rejects.toMatchObject({
      code: 'SourceRefused',
      message: expect.stringMatching(/there is a NUL character in line 3 of the stream\.$/) as string,
    });
  });

  it('refuses files whose headers differ in order, and headers that lack a column', async () => {
    const inputs = [input('a,b\n', { name: '1.csv' }), input('b,a\nx,1\n', { name: '2.csv' })];
    await expect(pass(inputs, WITH_HEADER)).rejects.toMatchObject({
      code: 'SourceRefused',
      message: expect.stringContaining(
        'the header of file "2.csv" has the columns in another order than the input before it',
      ) as string,
    });
    await expect(pass([input('b,id\n', { name: '2.csv' })], WITH_HEADER)).rejects.toMatchObject({
      message: expect.stringContaining('the header of file "2.csv" lacks the column "a"') as string,
      next: 'Give the columns a, b, in any order, by these names; `columns` in the job file chooses which.',
    });
  });

  it('closes its inputs when the reader stops, and counts nothing then', async () => {
    let closed = false;
    async function* endless() {
      try {
        yield await Promise.resolve(Buffer.from('a,b\n1,x\n'));
        for (;;) yield Buffer.from('1,x\n');
      } finally {
        closed = true;
      }
    }
    const stream = await passCsv(iterate([{ chunks: endless() }]), WITH_HEADER, readOptions(AB));
    for await (const chunk of stream) if (chunk.length > 0) break;
    expect(closed).toBe(true);
    await expect(stream.rows).rejects.toThrow('not read to its end');
  });
});
