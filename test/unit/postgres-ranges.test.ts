import { describe, expect, test } from 'vitest';
import type { KeyColumn } from '../../src/connectors/postgres/partition-key.js';
import { rangesIn, rangesOf, UNCUT } from '../../src/connectors/postgres/ranges.js';

const column = (name: string, over: Partial<KeyColumn> = {}): KeyColumn => ({
  name,
  notNull: true,
  type: 'integer',
  typeName: 'int4',
  collation: undefined,
  operatorSchema: 'pg_catalog',
  ...over,
});

describe('conditions of ranges', () => {
  test('none: everything', () => {
    expect([...rangesOf(UNCUT)]).toEqual(['TRUE']);
  });

  test('one column: half-open, open below and above, NULL by itself', () => {
    const cut = { columns: [column('k', { notNull: false })], bounds: [['1'], ['5']] };
    expect([...rangesOf(cut)]).toEqual([
      '"k" OPERATOR("pg_catalog".<) 1',
      '"k" OPERATOR("pg_catalog".>=) 1 AND "k" OPERATOR("pg_catalog".<) 5',
      '"k" OPERATOR("pg_catalog".>=) 5',
      '"k" IS NOT DISTINCT FROM NULL',
    ]);
    expect(rangesIn(cut)).toBe(4);
  });

  test('several columns: compared as rows; each that may be NULL has its own partition, and ranges ask for it', () => {
    const columns = [column('a', { notNull: false }), column('b'), column('c', { notNull: false })];
    expect([...rangesOf({ columns, bounds: [['1', '2', '3']] })]).toEqual([
      'ROW("a", "b", "c") OPERATOR("pg_catalog".<) ROW(1, 2, 3) AND "c" IS DISTINCT FROM NULL',
      'ROW("a", "b", "c") OPERATOR("pg_catalog".>=) ROW(1, 2, 3) AND "c" IS DISTINCT FROM NULL',
      '"a" IS NOT DISTINCT FROM NULL',
      '"a" IS DISTINCT FROM NULL AND "c" IS NOT DISTINCT FROM NULL',
    ]);
  });

  test('operators of several schemas are written out', () => {
    const columns = [column('a'), column('b', { operatorSchema: 'public' })];
    expect([...rangesOf({ columns, bounds: [['1', "'x'"]] })]).toEqual([
      `("a" OPERATOR("pg_catalog".<=) 1 AND ("a" OPERATOR("pg_catalog".<) 1 OR "b" OPERATOR("public".<) 'x'))`,
      `("a" OPERATOR("pg_catalog".>=) 1 AND ("a" OPERATOR("pg_catalog".>) 1 OR "b" OPERATOR("public".>=) 'x'))`,
    ]);
  });
});
