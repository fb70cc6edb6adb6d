import { expect, it } from 'vitest';
import type { TableSpec } from '../../src/core/model.js';
import { lakeColumns } from '../../src/connectors/lake/destination/columns.js';
import { declared } from '../support/lake-files.js';

const SHAPES = [declared('id', 'bigint'), declared('Id', 'text'), declared('tags', 'text[]'), declared('at', 'real')];

/** Of a table of these columns. */
function findings(names: readonly string[], more: Partial<TableSpec>): string[] {
  const spec: TableSpec = { table: 't', to: 't', mode: 'replace', partition: { by: 'auto' }, ...more };
  const shape = { system: 'test', columns: SHAPES, primaryKey: [] };
  return lakeColumns(spec, shape, names).findings.map(({ path, message }) => `${path}: ${message}`);
}

it('no two columns of a lake differ in case only', () => {
  expect(findings(['id', 'Id'], {})).toEqual([
    'columns: columns "id" and "Id" differ in case only: the engines that read a lake take them for one',
  ]);
});

it('files are kept apart by columns that are there and whose values are texts, numbers or times, and never by all', () => {
  expect(findings(['id', 'tags', 'at'], { partitionBy: ['id', 'nope', 'tags', 'at'] })).toEqual([
    'partitionBy[1]: there is no column "nope"',
    'partitionBy[2]: column "tags" is of type list: files can\'t be kept apart by it',
    'partitionBy[3]: column "at" is of type float: files can\'t be kept apart by it',
  ]);
  expect(findings(['id', 'tags'], { partitionBy: ['id', 'id'] })).toEqual([
    'partitionBy[1]: column "id" is named twice',
  ]);
  expect(findings(['id'], { partitionBy: ['id'] })).toEqual([
    'partitionBy: names every column: no column is left for the files',
  ]);
});

it('types are declared of columns that are there', () => {
  expect(findings(['id', 'tags'], { types: { at: 'string' } })).toEqual(['types.at: there is no column "at"']);
});

it('what people say of a column goes with it', () => {
  const said = [{ ...SHAPES[0]!, comment: 'the key' }];
  const spec: TableSpec = { table: 't', to: 't', mode: 'replace', partition: { by: 'auto' } };
  const { columns } = lakeColumns(spec, { system: 'test', columns: said, primaryKey: [] }, ['id']);
  expect(columns).toMatchObject([{ name: 'id', comment: 'the key' }]);
});
