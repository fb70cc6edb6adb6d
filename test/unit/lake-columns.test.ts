import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDataFiles } from '../../src/connectors/lake/columns/index.js';
import { LonghaulError } from '../../src/core/errors.js';
import type { DataFile } from '../../src/connectors/lake/model.js';
import { ChunkWriter } from '../../src/connectors/lake/parquet-writer/chunk.js';
import { BytesLeaf } from '../../src/connectors/lake/parquet-writer/leaf.js';
import type { Row, RowStream } from '../../src/connectors/types.js';
import { DataFolder, declared, lakeColumns, textStream, writeInto } from '../support/lake-files.js';

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder[Symbol.asyncDispose]());

async function read({ path }: DataFile): Promise<Record<string, unknown>[]> {
  const { buffer, byteOffset, length } = await readFile(path);
  return parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + length), compressors });
}

async function metadataOf({ path }: DataFile) {
  const { buffer, byteOffset, length } = await readFile(path);
  return parquetMetadata(buffer.slice(byteOffset, byteOffset + length));
}

function rowStream(columns: string[], rows: Row[]): RowStream {
  return {
    ...{ kind: 'rows', format: 'rows', columns, rows: Promise.resolve(rows.length) },
    async *[Symbol.asyncIterator]() {
      await Promise.resolve();
      for (let at = 0; at < rows.length; at += 2) yield { rows: rows.slice(at, at + 2) };
    },
  };
}

describe('a stream of text', () => {
  const columns = lakeColumns([declared('id', 'bigint', true), declared('name', 'text'), declared('tags', 'text[]')]);
  const text = '1\tone\\ttwo\\\\\t{a,"b,\\\\"c"}\n2\t\\N\t\\N\n3\t\t{}\n-4\tü🦆\\nx\t{NULL,"NULL"}\n';
  const expected = [
    { id: 1n, name: 'one\ttwo\\', tags: ['a', 'b,"c'] },
    { id: 2n, name: null, tags: null },
    { id: 3n, name: '', tags: [] },
    { id: -4n, name: 'ü🦆\nx', tags: [null, 'NULL'] },
  ].map((row) => ({ ...row, name: row.name ?? undefined, tags: row.tags ?? undefined }));

  it.each([
    [1, 1],
    [3, 7],
    [1000, 5],
    [1000, 1000],
  ])('is cut anywhere: frames of %i bytes, chunks of %i', async (frame, chunk) => {
    const { rows, files } = await writeInto(folder, textStream(text, { frame, chunk }), { columns });
    expect(rows).toBe(4);
    expect(files).toHaveLength(1);
    const seen = (await read(files[0]!)).map((row) => ({
      ...row,
      name: row.name ?? undefined,
      tags: row.tags ?? undefined,
    }));
    expect(JSON.stringify(seen, showBigInt)).toBe(JSON.stringify(expected, showBigInt));
    expect(files[0]!.statistics).toEqual({
      id: { min: '-4', max: '3', nulls: 0 },
      name: { min: '', max: 'ü🦆\nx', nulls: 1 },
      tags: { nulls: 1 },
    });
  });

  it('that breaks off within a row is an error', async () => {
    await expect(writeInto(folder, textStream('1\ta\t{}\n2\tb'), { columns })).rejects.toThrow(/broke off/);
  });

  it('whose row has another number of fields is an error', async () => {
    await expect(writeInto(folder, textStream('1\ta\n'), { columns })).rejects.toThrow(/fields/);
  });

  it('a value that is none of its type is refused by its row and column, and not shown', async () => {
    const stream = textStream('1\ta\t{}\nsecret\tb\t{}\n');
    const rejection = expect(writeInto(folder, stream, { columns })).rejects;
    await rejection.toMatchObject({ code: 'DataRejected', message: expect.not.stringContaining('secret') as string });
    await expect(writeInto(folder, textStream('1\ta\t{}\nsecret\tb\t{}\n'), { columns })).rejects.toThrow(
      /row 2, column id/,
    );
  });
});

describe('rows', () => {
  const shapes = [
    declared('big', 'bigint'),
    declared('price', 'numeric(12,2)'),
    declared('at', 'timestamptz'),
    declared('day', 'date'),
    declared('bytes', 'bytea'),
    declared('doc', 'jsonb'),
    declared('list', 'int[]'),
    declared('yes', 'boolean'),
    declared('f', 'double precision'),
  ];
  const columns = lakeColumns(shapes);

  it('are exact, and in the order of the stream', async () => {
    const names = shapes.map(({ name }) => name).reverse();
    const values: Row = [
      ...[2n ** 63n - 1n, '12.50', '2024-01-31T10:00:00.123456+02:00', '2024-02-29', Uint8Array.of(0, 255)],
      ...[{ a: [1, 2.5] }, [1, null, 3], true, -0],
    ];
    const nothing: Row = values.map(() => null);
    const { files, rows } = await writeInto(folder, rowStream(names, [[...values].reverse(), nothing, nothing]), {
      columns,
    });
    expect(rows).toBe(3);
    expect(files[0]!.statistics).toMatchObject({
      big: { min: '9223372036854775807', max: '9223372036854775807', nulls: 2 },
      price: { min: '12.50', max: '12.50' },
      at: { min: '2024-01-31 08:00:00.123456+00', max: '2024-01-31 08:00:00.123456+00' },
      day: { min: '2024-02-29' },
      bytes: { nulls: 2 },
      doc: { min: '{"a":[1,2.5]}' },
      yes: { min: 'true', max: 'true' },
      f: { min: '-0', max: '0' },
    });
    const [first] = await read(files[0]!);
    expect(first).toMatchObject({ list: [1, null, 3], yes: true });
  });

  it('what would be rounded is refused by its row and column', async () => {
    const one = lakeColumns([declared('price', 'numeric(12,2)')]);
    await expect(writeInto(folder, rowStream(['price'], [['1.25'], ['1.255']]), { columns: one })).rejects.toThrow(
      /row 2, column price.*rounded/,
    );
  });

  it('one that is malformed is refused', async () => {
    const one = lakeColumns([declared('price', 'numeric(12,2)')]);
    const stream: RowStream = {
      ...rowStream(['price'], []),
      async *[Symbol.asyncIterator]() {
        await Promise.resolve();
        yield { rows: [], malformed: [{ raw: 'x,y', place: { file: 'f.csv', line: 7 }, error: 'it has 2 fields' }] };
      },
    };
    await expect(writeInto(folder, stream, { columns: one })).rejects.toThrow(/line 7 of file f.csv.*2 fields/);
  });

  it('columns that are not those of the table are refused', async () => {
    await expect(writeInto(folder, rowStream(['other'], []), { columns: columns.slice(0, 1) })).rejects.toMatchObject({
      code: 'SourceChanged',
    });
  });
});

describe('partitionBy', () => {
  const columns = lakeColumns([declared('id', 'int'), declared('day', 'date'), declared('kind', 'text')]);
  const options = { columns, partitionBy: ['day', 'kind'] };

  it('deals the rows, leaves the columns out and says their values', async () => {
    const text = Array.from(
      { length: 5000 },
      (_, index) => `${index}\t2024-01-0${(index % 3) + 1}\t${index % 2 === 0 ? 'a/b=ü' : '\\N'}\n`,
    );
    const { rows, files } = await writeInto(folder, textStream(text.join(''), { frame: 900, chunk: 5000 }), options);
    expect(rows).toBe(5000);
    expect(files).toHaveLength(6);
    for (const file of files) {
      const { day, kind } = file.partitionValues!;
      const seen = await read(file);
      expect(seen).toHaveLength(file.rows);
      expect(Object.keys(seen[0]!)).toEqual(['id']);
      const wrong = seen.filter(
        ({ id }) => day !== `2024-01-0${(Number(id) % 3) + 1}` || kind !== (Number(id) % 2 === 0 ? 'a/b=ü' : null),
      );
      expect(wrong).toEqual([]);
      expect(Object.keys(file.statistics)).toEqual(['id']);
    }
  });

  it('makes one file of each value, of as many as come in turn', async () => {
    const text = Array.from({ length: 20_000 }, (_, index) => `${index}\t2024-01-01\tk${index % 2_000}\n`).join('');
    const { rows, files } = await writeInto(folder, textStream(text, { frame: 900, chunk: 5000 }), options);
    expect(rows).toBe(20_000);
    expect(files.map((file) => file.rows)).toEqual(Array(2_000).fill(10));
    expect(new Set(files.map(({ partitionValues }) => partitionValues!.kind)).size).toBe(2_000);
  });

  it('makes more, as large as they can be, where files would take more memory than they may', async () => {
    const wide = lakeColumns([declared('id', 'int'), declared('kind', 'text'), declared('note', 'text')]);
    // Texts of digits that nothing can be made shorter of, but by half: 90 MB, most of them of one kind.
    const note = (index: number) => createHash('sha512').update(`${index}`).digest('hex');
    const notes = (index: number) => Array.from({ length: 12 }, (_, each) => note(index * 12 + each)).join('');
    const kind = (index: number) => (index % 4 === 0 ? `k${index % 400}` : 'most');
    const text = Array.from({ length: 60_000 }, (_, index) => `${index}\t${kind(index)}\t${notes(index)}\n`).join('');
    const stream = textStream(text, { frame: 1 << 16, chunk: 1 << 16 });
    const { rows, files } = await writeInto(folder, stream, { columns: wide, partitionBy: ['kind'] });
    expect(rows).toBe(60_000);
    expect(files.reduce((sum, file) => sum + file.rows, 0)).toBe(60_000);
    const most = files.filter(({ partitionValues }) => partitionValues!.kind === 'most');
    expect(most.map((file) => file.rows)).toEqual([45_000]);
    expect(files.length).toBeLessThanOrEqual(1 + 100 * 2);
    const seen = await read(files.find(({ partitionValues }) => partitionValues!.kind === 'k0')!);
    expect(seen.every(({ id, note }) => note === notes(Number(id)))).toBe(true);
  });

  it('an empty text is refused: readers would take it for NULL', async () => {
    await expect(writeInto(folder, textStream('1\t2024-01-01\t\n'), options)).rejects.toThrow(
      /row 1, column kind.*empty/,
    );
  });
});

describe('statistics', () => {
  async function statisticsOf(type: string, values: string[]) {
    const columns = lakeColumns([declared('v', type)]);
    const { files } = await writeInto(folder, textStream(values.map((value) => `${value}\n`).join('')), { columns });
    const [chunk] = (await metadataOf(files[0]!)).row_groups[0]!.columns;
    return { file: files[0]!.statistics.v!, footer: chunk!.meta_data!.statistics };
  }

  it('there are none of a column with NaN', async () => {
    const { file, footer } = await statisticsOf('real', ['1.5', 'NaN', '-2']);
    expect(file).toEqual({ nulls: 0 });
    expect(footer?.min_value).toBeUndefined();
  });

  it('zeros of either sign are equal to readers', async () => {
    for (const zero of ['0', '-0']) {
      const { file } = await statisticsOf('double precision', [zero]);
      expect(file).toEqual({ min: '-0', max: '0', nulls: 0 });
    }
  });

  it('long texts are cut, and bound all the same', async () => {
    const { file, footer } = await statisticsOf('text', ['ü'.repeat(100), `${'ü'.repeat(100)}z`]);
    expect(file).toEqual({ min: 'ü'.repeat(64), max: `${'ü'.repeat(64)}\u{10ffff}`, nulls: 0 });
    expect(footer?.max_value).toBeUndefined();
    const ascii = await statisticsOf('text', ['a'.repeat(100)]);
    expect(ascii.footer).toMatchObject({ min_value: 'a'.repeat(64), max_value: `${'a'.repeat(63)}b` });
  });

  it('of a huge text, no more than its beginning is kept', () => {
    const leaf = new BytesLeaf();
    for (const letter of ['b', 'a']) {
      const bytes = Buffer.from('😀'.repeat(64) + letter.repeat(1 << 20));
      leaf.reserve(1);
      leaf.reserveBytes(bytes.length + 4);
      leaf.data.set(bytes, leaf.at + 4);
      leaf.take(bytes.length);
    }
    const [column] = lakeColumns([declared('v', 'text')]);
    const out = { size: 0, write: () => undefined };
    const { bounds } = new ChunkWriter((bytes) => bytes).write({ column: column!, leaf }, out);
    expect(bounds).toEqual({ min: prefixOf('a'), max: prefixOf('b') });
  });

  const prefixOf = (letter: string) => Uint8Array.from(Buffer.from('😀'.repeat(64) + letter.repeat(4)));
});

describe('a store that fails when all rows are on their way', () => {
  const late = async () => {
    await new Promise((done) => setTimeout(done, 50));
    throw new LonghaulError('ServerFull', 'the disk is full');
  };
  it.each([
    ['write', { write: late, finish: () => Promise.resolve(1) }],
    ['finish', { write: () => Promise.resolve(), finish: late }],
  ])('in %s, fails the stream', async (_, failing) => {
    const options = {
      ...{ columns: lakeColumns([declared('id', 'int')]), partitionBy: [], compression: 'snappy' as const },
      ...{ targetFileSize: 1 << 27, outOfRange: 'error' as const, table: 't', signal: new AbortController().signal },
      nextPath: () => 'x',
      create: () => Promise.resolve({ ...failing, [Symbol.asyncDispose]: () => Promise.resolve() }),
    };
    const written = writeDataFiles(rowStream(['id'], [[1], [2]]), options, { rows: 0, bytes: 0, phase: '' });
    await expect(written).rejects.toThrow('the disk is full');
  });
});

describe('what ends early', () => {
  const columns = lakeColumns([declared('id', 'int')]);

  it('an abort ends the thread and gives up the file', async () => {
    const abort = new AbortController();
    const stream = {
      ...textStream(''),
      async *[Symbol.asyncIterator]() {
        const line = Buffer.from('d\0\0\0\x061\n', 'latin1');
        yield Buffer.concat(Array.from({ length: 1000 }, () => line));
        abort.abort(new Error('stop'));
        await new Promise((resolve) => setTimeout(resolve, 10));
        yield line;
      },
    };
    await expect(
      writeInto(folder, stream as ReturnType<typeof textStream>, { columns, signal: abort.signal }),
    ).rejects.toThrow('stop');
  });

  it("a store's error is the stream's", async () => {
    const create = () => Promise.reject(new Error('the disk is full'));
    await expect(writeInto(folder, textStream('1\n'), { columns, create })).rejects.toThrow('the disk is full');
  });

  it("a source's error is the stream's", async () => {
    const stream = {
      ...textStream(''),
      async *[Symbol.asyncIterator]() {
        await Promise.resolve();
        throw new Error('the source is gone');
      },
    };
    await expect(writeInto(folder, stream as ReturnType<typeof textStream>, { columns })).rejects.toThrow(
      'the source is gone',
    );
  });
});

function showBigInt(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
