import { readFile } from 'node:fs/promises';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Batch } from '../../src/connectors/lake/columns/batch.js';
import type { PutBytes } from '../../src/connectors/lake/columns/byte-values.js';
import { binaryGeometry, textGeometry } from '../../src/connectors/lake/columns/geometry.js';
import { DataFolder, declared, lakeColumns, textStream, writeInto } from '../support/lake-files.js';

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('a shape of PostGIS', () => {
  /** What PostGIS 3.3.2 sends of a shape, and its own ST_AsBinary of it: `npm run interop:postgis` compares more of them. */
  const SHAPES = [
    [
      'SRID=4326;POINT(1 2)',
      '0101000020e6100000000000000000f03f0000000000000040',
      '0101000000000000000000f03f0000000000000040',
    ],
    [
      'SRID=4326;POINT ZM(1 2 3 4)',
      '01010000e0e6100000000000000000f03f000000000000004000000000000008400000000000001040',
      '01b90b0000000000000000f03f000000000000004000000000000008400000000000001040',
    ],
    [
      'MULTIPOINT Z(1 2 3,4 5 6)',
      '0104000080020000000101000080000000000000f03f000000000000004000000000000008400101000080000000000000104000000000000014400000000000001840',
      '01ec0300000200000001e9030000000000000000f03f0000000000000040000000000000084001e9030000000000000000104000000000000014400000000000001840',
    ],
    ['POLYGON EMPTY', '010300000000000000', '010300000000000000'],
  ] as const;
  const put = (how: PutBytes, bytes: Buffer): string => {
    const data = new Uint8Array(200);
    const batch = new Batch(1, 1);
    batch.over(bytes);
    return Buffer.from(data.subarray(0, how.put(batch, 0, bytes.length, data, 0))).toString('hex');
  };

  it.each(SHAPES)("becomes ISO's well-known binary: %s", (_shape, sent, iso) => {
    expect(put(binaryGeometry, Buffer.from(sent, 'hex'))).toBe(iso);
    expect(put(textGeometry, Buffer.from(sent.toUpperCase()))).toBe(iso);
  });

  it('is the element of an array, whose text PostGIS has put colons into', async () => {
    const definition = JSON.stringify({ array: { extension: 'postgis', type: 'geometry' } });
    const columns = lakeColumns([{ ...declared('shapes', 'public.geometry[]'), definition }]);
    const [, sent, iso] = SHAPES[0];
    const { files } = await writeInto(folder, textStream(`{${sent}:NULL}\n`), { columns });
    const bytes = await readFile(files[0]!.path);
    const [row] = await parquetReadObjects({ file: new Uint8Array(bytes).buffer, compressors, utf8: false });
    expect(row).toEqual({ shapes: [new Uint8Array(Buffer.from(iso, 'hex')), null] });
  });

  it.each([
    ['nothing', ''],
    ['cut short', '0101000000000000000000f03f00000000'],
    ['with something behind it', '010300000000000000ff'],
    ['of more rings than there are', '010300000005000000'],
    ['of a kind that PostGIS has not', '016300000000000000'],
  ])('is refused: %s', (_what, sent) => {
    expect(() => put(binaryGeometry, Buffer.from(sent, 'hex'))).toThrow('it is no shape in extended well-known binary');
  });
});
