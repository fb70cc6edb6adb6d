import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Place, Row, Value } from '../../src/connectors/types.js';
import { code, newMeter, Scene, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { runSql } from '../support/postgres.js';
import { begun, copied, QUERY, rowsScene, type RowsScene } from '../support/rows-scene.js';
import { csvStream, rowsOf, rowStream } from '../support/rows-source.js';

let fixture: PostgresFixture;

beforeAll(async () => {
  fixture = await postgresFixture('rows_test');
});
afterAll(() => fixture[Symbol.asyncDispose]());

const sql = <R extends object>(text: string, values: unknown[] = []) => runSql<R>(fixture.destinationUrl, text, values);

const scene = (options: RowsScene) => rowsScene(fixture, options);

async function findings(s: Scene): Promise<{ lines: string[]; format: string | undefined; columns: string[] }> {
  const { table } = await (await s.source()).describe(s.spec);
  const { findings: found, format, shape } = await (await s.destination()).check(s.spec, table!);
  const lines = found.map(({ severity, path, message, fix }) => `${severity} ${path}: ${message} -> ${fix ?? ''}`);
  return { lines, format, columns: (shape?.columns ?? []).map(({ name, type }) => `${name} ${type}`) };
}

describe('the check', () => {
  it('takes declared types that the server knows, for a table that is to be made', async () => {
    await using s = await scene({
      source: { declared: { id: 'BIGINT', amount: 'numeric(12,2)', tags: 'text[]' }, formats: ['csv', 'rows'] },
    });
    expect(await findings(s)).toEqual({ lines: [], format: 'csv', columns: [] });
  });

  it('names the columns whose types are unknown, however they are written', async () => {
    const declared = { id: 'bigint', a: 'strnig', b: 'int); DROP TABLE x; --', c: 'record', d: 'numeric(' };
    await using s = await scene({ source: { declared, formats: ['rows'] } });
    const { lines } = await findings(s);
    expect(lines.map((line) => /column "(.)"/.exec(line)?.[1])).toEqual(['a', 'b', 'c', 'd']);
    expect(lines[0]).toBe(
      'problem columns: column "a": the destination has no type strnig -> write one as the destination has it, e.g. bigint, numeric(12,2), text or timestamptz, or erp.status with its schema',
    );
  });

  it('refuses a declared type that an existing target would round', async () => {
    await using s = await scene({
      source: { declared: { id: 'bigint', amount: 'numeric(12,4)' }, formats: ['csv', 'rows'] },
      target: 'id bigint, amount numeric(12,2)',
    });
    expect((await findings(s)).lines).toEqual([
      expect.stringMatching(
        /^problem columns: column "amount": numeric\(12,4\) of the source may not fit unchanged into numeric\(12,2\)/,
      ),
    ]);
  });

  it('answers with the columns of the target where none are declared', async () => {
    const target = 'id bigint PRIMARY KEY, note text, twice bigint GENERATED ALWAYS AS (id * 2) STORED, other int';
    await using s = await scene({ source: { formats: ['csv', 'rows'] }, target, spec: { exclude: ['other'] } });
    expect(await findings(s)).toEqual({ lines: [], format: 'csv', columns: ['id bigint', 'note text'] });
  });

  it('looks at each row where nothing is declared and the target would round', async () => {
    const target = 'id bigint, amount numeric(12,2), at timestamp(0)[], span interval';
    await using s = await scene({ source: { formats: ['csv', 'rows'] }, target });
    const { lines, format } = await findings(s);
    expect(format).toBe('rows');
    expect(lines).toEqual([
      expect.stringMatching(
        /^warning columns: the columns are not declared, and public.rows_\d+ would round what does not fit into amount numeric\(12,2\), at timestamp\(0\) without time zone\[\] without saying so: every row is looked at/,
      ),
    ]);
    await using csvOnly = await scene({ source: { formats: ['csv'] }, target });
    expect(await findings(csvOnly)).toMatchObject({
      format: 'csv',
      lines: [expect.stringMatching(/^warning columns:/)],
    });
  });

  it('asks to declare the columns where there is no target either', async () => {
    await using s = await scene({ source: { formats: ['rows'] } });
    expect((await findings(s)).lines).toEqual([
      `problem columns: the source can't tell its columns, and ${s.spec.to} does not exist -> declare them, as in columns: {id: bigint, note: text}, or make the table`,
    ]);
  });

  it('takes rows one by one with rejects, and refuses them for a source that sends COPY data', async () => {
    const spec = { rejects: { max: 10 } };
    await using s = await scene({ source: { declared: { id: 'bigint' }, formats: ['csv', 'rows'] }, spec });
    expect(await findings(s)).toMatchObject({ lines: [], format: 'rows' });
    await fixture.createSource('public.copied', 1);
    const { queries: _, ...rest } = s.spec;
    await using copied = new Scene(fixture, 'run', { ...rest, from: 'public.copied', table: 'public.copied' });
    expect((await findings(copied)).lines).toEqual([
      expect.stringMatching(
        /^problem rejects: the source sends its data in a form \(postgres\.copy\.binary, postgres\.copy\.text\)/,
      ),
    ]);
  });
});

const DECLARED = { id: 'bigint', amount: 'numeric(12,2)', note: 'text' };

describe('rows', () => {
  it('make a table of the declared types, are counted on both sides, and published', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const rows = Array.from({ length: 5_000 }, (_, id): Row => [id, `${id}.50`, `note\t${id}\n\\`]);
    const { receipt, record } = await copied(s, rowsOf(['id', 'amount', 'note'], rows));
    expect(receipt).toMatchObject({ state: 'committed', rows: 5_000 });
    const session = await s.destination();
    await s.buildAll(session, record);
    expect(await session.publish(record, newMeter())).toMatchObject({ committed: 1, rows: 5_000 });
    const found = await sql(
      `SELECT pg_typeof(amount)::text AS type, sum(amount)::text AS sum, count(*) FILTER (WHERE note = E'note\\t' || id || E'\\n\\\\') AS n FROM ${s.spec.to} GROUP BY 1`,
    );
    expect(found).toEqual([{ type: 'numeric', sum: '12500000.00', n: '5000' }]);
  });

  it('come in the order of the stream, by name', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const { record } = await copied(s, rowsOf(['note', 'id', 'amount'], [['a', 1n, null]]));
    expect(await sql(`SELECT * FROM ${record.staging}`)).toEqual([{ id: '1', amount: null, note: 'a' }]);
  });

  it('are not taken without a column that is to be copied', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    await expect(copied(s, rowsOf(['id', 'note'], [[1, 'a']]))).rejects.toThrow(
      'The source of erp.items gives the columns id, note, and id, amount, note are to be copied; nothing was written.',
    );
  });

  it('of which the source counted others than were written are not committed', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const stream = { ...rowsOf(['id', 'amount', 'note'], [[1, null, null]]), rows: Promise.resolve(2) };
    await expect(copied(s, stream)).rejects.toEqual(code('CountMismatch'));
  });

  const at = (batch: readonly Row[], place?: (index: number) => Place) =>
    rowStream(['id', 'amount', 'note'], [{ rows: batch, ...(place && { place }) }]);

  it.each([
    [
      'a value of the wrong kind',
      [[{ a: 1 }, null, null]],
      /\(row 1 of the stream, column id\): an object is no value of type bigint/,
    ],
    [
      'a number that may be rounded',
      [
        [1, null, null],
        [2 ** 60, null, null],
      ],
      /\(row 2 of the stream, column id\): a number so large may have been rounded by JavaScript: give a text or a bigint/,
    ],
    [
      'a binary fraction',
      [[1, 1.25, null]],
      /column amount\): a number of JavaScript has its fraction in binary: give a text such as 12\.50/,
    ],
    [
      'digits that would be rounded',
      [[1, '1.239', null]],
      /column amount\): its number would be rounded: numeric\(12,2\) keeps 2 digits after the point, and it has 3/,
    ],
    ['a NUL', [[1, null, 'a\0b']], /column note\): it has a NUL character/],
    ['half a pair', [[1, null, 'a\ud83d']], /column note\): it has half of a surrogate pair/],
    [
      'a Date',
      [[1, null, new Date() as unknown as Value]],
      /column note\): a Date holds milliseconds only: give a text such as/,
    ],
    ['nothing', [[1, null, undefined as unknown as Value]], /column note\): it has no value: give null for NULL/],
    ['too few values', [[1, null]], /\(row 1 of the stream\): it has 2 values, and there are 3 columns/],
  ] as [string, Row[], RegExp][])('%s is an error that names row and column', async (_, rows, message) => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const failed = copied(s, at(rows));
    await expect(failed).rejects.toEqual(code('DataRejected'));
    await expect(failed).rejects.toThrow(message);
  });

  it('that the server refuses are told by file, line and column, without the value', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const rows = Array.from({ length: 40 }, (_, id): Row => [id, id === 29 ? 'secret' : '1', null]);
    const place = (index: number): Place => ({ file: `part-${index < 20 ? 1 : 2}.csv`, line: (index % 20) * 2 + 2 });
    await expect(copied(s, at(rows, place))).rejects.toThrow(
      /^Connection "destination": the server refused a value that is invalid for its type \(file part-2\.csv, line 20, column amount, type numeric\) \(SQLSTATE 22P02\)$/,
    );
  });

  it('that are malformed are an error that names the first', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const malformed = [
      { raw: 'a,b', place: { file: 'part-3.csv', line: 17 }, error: 'it has 2 fields, and there are 3 columns' },
    ];
    await expect(copied(s, rowStream(['id', 'amount', 'note'], [{ rows: [], malformed }]))).rejects.toThrow(
      'Connection "destination": a row can\'t be written (file part-3.csv, line 17): it has 2 fields, and there are 3 columns',
    );
  });

  it('end with the signal, and nothing of them stays', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['rows'] } });
    const { record } = await begun(s);
    const abort = new AbortController();
    const session = await s.destination({ signal: abort.signal });
    const writer = await writerOf(session.begin(record, QUERY, 1));
    const endless = rowStream(
      ['id', 'amount', 'note'],
      (function* () {
        for (let batch = 0; ; batch++) {
          if (batch === 50) abort.abort(new Error('cancelled'));
          yield { rows: Array.from({ length: 1000 }, (_, id): Row => [id, null, 'x'.repeat(100)]) };
        }
      })(),
    );
    await expect(writer.load(endless, newMeter())).rejects.toThrow('cancelled');
    await expect(endless.rows).rejects.toThrow('not read to its end');
    expect(await sql(`SELECT FROM ${record.staging}`)).toEqual([]);
  });
});

describe('CSV', () => {
  it('is passed on in any pieces, in the order of its columns; nothing is NULL and quotes are a text', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['csv', 'rows'] } });
    const text = '1,,1.50\n2,"",2\n3,"a ""b"",\nc é😀",\n';
    const { receipt, record } = await copied(s, { ...csvStream(text, 3), columns: ['id', 'note', 'amount'] });
    expect(receipt).toMatchObject({ rows: 3, bytes: Buffer.byteLength(text) });
    expect(await sql(`SELECT * FROM ${record.staging} ORDER BY id`)).toEqual([
      { id: '1', amount: '1.50', note: null },
      { id: '2', amount: '2.00', note: '' },
      { id: '3', amount: null, note: 'a "b",\nc é😀' },
    ]);
  });

  it('that the server refuses is told by file and line, line breaks in values counted', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['csv', 'rows'] } });
    const text = '0,,\n1,1,"a\nb"\n2,secret,x\n';
    const stream = csvStream(text, 3);
    const place = (line: number): Place => ({ file: 'part-3.csv', line: line + 10 });
    await expect(copied(s, { ...stream, place })).rejects.toThrow(
      /\(file part-3\.csv, line 14, column amount, type numeric\) \(SQLSTATE 22P02\)$/,
    );
    await using other = await scene({ source: { declared: DECLARED, formats: ['csv', 'rows'] } });
    await expect(copied(other, csvStream(text, 3))).rejects.toThrow(/\(line 4, column amount/);
  });

  it('of fewer records than the source counted is not committed', async () => {
    await using s = await scene({ source: { declared: DECLARED, formats: ['csv'] } });
    await expect(copied(s, csvStream('1,1,a\n', 2))).rejects.toEqual(code('CountMismatch'));
  });
});
