import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readNdjson, type Input } from '../../src/connectors/rows/index.js';
import { collect, input, iterate, readOptions } from '../support/rows.js';

const AJ = { a: 'bigint', b: 'text', j: 'jsonb', n: 'numeric(12,2)[]' };

function read(lines: string | Uint8Array | readonly Input[], columns: Readonly<Record<string, string>> = AJ) {
  const inputs = typeof lines === 'string' || lines instanceof Uint8Array ? [input(lines)] : lines;
  return collect(readNdjson(iterate(inputs), readOptions(columns)));
}

async function errorsOf(lines: string | Uint8Array, columns: Readonly<Record<string, string>> = AJ) {
  const { malformed, rows } = await read(lines, columns);
  return [...malformed.map(({ error }) => error), ...rows.map(() => 'a row')];
}

describe('readNdjson', () => {
  it('gives every text back as it was, wherever it is cut', async () => {
    const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));
    const row = fc.record({ a: fc.option(text), b: fc.option(text) }, { requiredKeys: [] });
    const property = fc.asyncProperty(fc.array(row), fc.array(fc.nat()), fc.boolean(), async (rows, cuts, last) => {
      const lines = rows.map((each) => JSON.stringify(each));
      const content = lines.join('\n') + (last && lines.length > 0 ? '\n' : '');
      const seen = await read([input(content, { cuts, name: 'x' })], { a: 'text', b: 'text' });
      expect(seen.rows).toEqual(rows.map(({ a, b }) => [a ?? null, b ?? null]));
      expect(seen.raws).toEqual(lines);
      expect(seen.places).toEqual(lines.map((_, index) => ({ file: 'x', line: index + 1 })));
    });
    await fc.assert(property, { numRuns: 100 });
  });

  it('keeps the digits of numbers', async () => {
    const written = ['9007199254740993', '-0', '1e400', '0.1000000000000000055511151231257827', '1E-7', '12.50'];
    const seen = await read(
      written.map((digits) => `{"a":${digits},"j":{"x":[${digits}]},"n":[${digits}]}\n`).join(''),
    );
    expect(seen.rows).toEqual(written.map((digits) => [digits, null, `{"x":[${digits}]}`, [digits]]));
  });

  it('gives JSON columns JSON, whatever the value is', async () => {
    const values = ['{"b": 1, "a": [null, true, "\\u00e9\\n"]}', '[]', '"abc"', '""', 'false', '1.0', 'null'];
    const seen = await read(values.map((json) => `{"j": ${json}}\n`).join(''), { j: 'JSON' });
    expect(seen.rows).toEqual(
      ['{"b":1,"a":[null,true,"é\\n"]}', '[]', '"abc"', '""', 'false', '1.0', null].map((text) => [text]),
    );
  });

  it('is not deceived by the names of keys', async () => {
    const nested = '{"__proto__":{"x":1},"isLosslessNumber":true,"toJSON":"y","constructor":null}';
    const seen = await read(`{"__proto__":${nested}}\n{"constructor":1}\n{}\n`, {
      ['__proto__']: 'jsonb',
      constructor: 'int',
    });
    expect(seen.malformed).toEqual([]);
    expect(seen.rows).toEqual([
      [nested, null],
      [null, '1'],
      [null, null],
    ]);
  });

  it('gives lists to array columns', async () => {
    const seen = await read(
      '{"n": [1, null, "2.50", [3]], "k": [{"x": 1}, [2], "s", null]}\n{"n": "{1,2}", "k": []}\n',
      {
        n: 'numeric[]',
        k: 'jsonb[]',
      },
    );
    expect(seen.rows).toEqual([
      [
        ['1', null, '2.50', ['3']],
        ['{"x":1}', '[2]', '"s"', null],
      ],
      ['{1,2}', []],
    ]);
  });

  it('keeps true and false, and takes lines of spaces for no rows', async () => {
    const seen = await read('\ufeff{"b": true}\r\n\r\n  \n{"b": false, "a": null}\n\n');
    expect(seen.rows.map((row) => row[1])).toEqual([true, false]);
    expect(seen.places.map((place) => place?.line)).toEqual([1, 4]);
    expect(seen.count).toBe(2);
  });

  it.each([
    ['{"a": 1', 'it is no JSON (character 8)'],
    ['{"a": 1} {"a": 2}', 'it is no JSON (character 10)'],
    ['{"a": 1, "a": 2}', 'it has the key "a" twice'],
    ['{"a": secret}', 'it is no JSON (character 7)'],
    [`{"j": ${'['.repeat(1e5)}`, 'it is nested too deeply'],
    ['[1]', 'it is no JSON object'],
    ['null', 'it is no JSON object'],
    ['{"c": 1}', 'it has the key "c", which is no column'],
    ['{"a": {"x": 1}}', 'column "a" is bigint, and the value is a JSON object'],
    ['{"b": []}', 'column "b" is text, and the value is a JSON list'],
    ['{"n": [{}]}', 'column "n" is numeric(12,2)[], and the value is a JSON object'],
    ['{"b": "x\\u0000"}', 'column "b" has a NUL character'],
    ['{"j": {"k": ["\\u0000"]}}', 'column "j" has a NUL character'],
    ['{"j": {"\\ud83e": 1}}', 'column "j" has half of a surrogate pair'],
    ['{"b": "\\udd80\\ud83e"}', 'column "b" has half of a surrogate pair'],
  ])('%.40s: %s', async (line, error) => {
    expect(await errorsOf(`${line}\n{}\n`)).toEqual([error, 'a row']);
  });

  it('reads on behind bytes that are no UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"b": "'),
      Buffer.of(0xff),
      Buffer.from('"}\n{"b": "\\ud83e\\udd80"}\n'),
    ]);
    expect(await errorsOf(bytes)).toEqual(['it is not UTF-8', 'a row']);
  });

  it('refuses every stream that is cut within an object, and no other', async () => {
    const whole = Buffer.from('{"a": 1}\n{"b": "}é"}\n');
    const objects = [0, 8, 9, 21, 22];
    for (let end = 0; end <= whole.length; end++) {
      const reading = read(whole.subarray(0, end));
      if (objects.includes(end)) expect((await reading).count).toBe(Math.ceil(objects.indexOf(end) / 2));
      else await expect(reading).rejects.toMatchObject({ code: 'SourceFailed' });
    }
  });
});
