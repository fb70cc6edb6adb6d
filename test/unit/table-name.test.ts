import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTableName, isPattern, parseTableName, type TableName } from '../../src/config/table-name.js';
import { formatRelation, parsePattern, parseRelation } from '../../src/connectors/postgres/sql.js';
import { parseWrittenName, writePart } from '../../src/core/table-name.js';

const name = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[a-z".*{} ]+$/));

test('what is written for an exact name is read back as it was', () => {
  fc.assert(
    fc.property(name, name, (schema, table) => {
      const written = `${writePart(schema)}.${writePart(table)}`;
      const parts = parseWrittenName(written);
      expect(parts).toMatchObject({ schema: { name: schema }, table: { name: table } });
    }),
  );
});

test('a job file and a connector read the same names, and nothing else', () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[ab".*{} ]*$/),
    fc.tuple(name, name).map((both) => both.join('.')),
  );
  fc.assert(
    fc.property(text, (written) => {
      const [inFile, inCatalog] = [parseTableName(written), parseRelation(written)];
      expect(inFile === undefined).toBe(inCatalog === undefined);
      if (inFile === undefined) return;
      const plain = formatTableName(inFile);
      expect(parseRelation(plain)).toEqual(inCatalog);
      expect(parsePattern(plain)).toEqual(parsePattern(written));
      if (!isPattern(inFile)) expect(plain).toBe(formatRelation(inCatalog!));
    }),
  );
});

test.each<[string, TableName | undefined]>([
  ['orders', { schema: 'public', table: 'orders' }],
  [' Sales.Orders ', { schema: 'Sales', table: 'Orders' }],
  ['"Sales"."Orders"', { schema: 'Sales', table: 'Orders' }],
  ['"a b"."c""d"', { schema: '"a b"', table: '"c""d"' }],
  ['s."*"', { schema: 's', table: '"*"' }],
  ['"s".*', { schema: 's', table: '*' }],
  ...['', '.', 'a.', '.a', 'a.b.c', '""', '"a', 'a"b', 'a b', 'a.{table}'].map((text): [string, undefined] => [
    text,
    undefined,
  ]),
])('a job file reads %j', (text, expected) => {
  expect(parseTableName(text)).toEqual(expected);
});
