import { describe, expect, test } from 'vitest';
import { chooseCut, whyNoPages, type ServerFacts } from '../../src/connectors/postgres/choose-cut.js';
import type { RelationInfo } from '../../src/connectors/postgres/catalog.js';
import { isFresh, liveBytes } from '../../src/connectors/postgres/leaf-statistics.js';
import { CTID, type TableKey } from '../../src/connectors/postgres/partition-key.js';

const GB = 1024 ** 3;
const server: ServerFacts = { cacheBytes: 4 * GB, version: 180_000 };
const big: RelationInfo = {
  oid: 1,
  schema: 's',
  name: 't',
  kind: 'table',
  heap: true,
  hasChildren: false,
  rowSecurity: false,
  mayUseSchema: true,
  maySelect: true,
  bytes: 80 * GB,
  pages: (80 * GB) / 8192,
  modifiedRows: 0,
  estimatedRows: 800_000_000,
};
const key: TableKey = { columns: [{ ...CTID, name: 'id' }], indexed: true, inPrimaryKey: true };
const ordered = (correlation: number | undefined) => ({ width: 80, correlation, points: 101, heaviest: 0 });
const snapshot = { partition: { by: 'auto' as const }, consistency: 'snapshot' as const };
const perPartition = { partition: { by: 'auto' as const } };

describe('what a table is cut by', () => {
  test.each([
    ['a held snapshot and a key in any order', snapshot, 0.3, 'pages', false],
    ['the reverse order of the disk is an order', snapshot, -0.97, 'key', false],
    ['a held snapshot and an unknown order', snapshot, undefined, 'pages', false],
    ['no snapshot', perPartition, 0.3, 'key', true],
    ['no snapshot and an unknown order', perPartition, undefined, 'key', false],
    ['no snapshot and a key in the order of the disk', perPartition, 0.99, 'key', false],
  ] as const)('%s', (_, spec, correlation, by, random) => {
    expect(chooseCut(spec, big, key, ordered(correlation), server)).toMatchObject({ by, random });
  });

  test('what fits into memory may be read in any order', () => {
    const small = { ...big, bytes: 3 * GB };
    expect(chooseCut(snapshot, small, key, ordered(0), server)).toMatchObject({ by: 'key', random: false });
  });

  test('a server before 14 has key ranges only, with the warning', () => {
    const old = { ...server, version: 130_011 };
    expect(whyNoPages(big, old)).toBe('Postgres 13 reads the whole table for each range of pages, before version 14');
    expect(chooseCut(snapshot, big, key, ordered(0.3), old)).toMatchObject({ by: 'key', random: true });
    expect(chooseCut(snapshot, big, undefined, undefined, old)).toMatchObject({ by: 'nothing' });
  });
});

describe('what statistics tell', () => {
  test('deleted rows are not counted, where they were most of it', () => {
    expect(liveBytes(big, ordered(1))).toBe(big.bytes);
    const emptied = { ...big, estimatedRows: 80_000_000 };
    expect(liveBytes(emptied, ordered(1)) / big.bytes).toBeCloseTo(0.1, 1);
    expect(liveBytes(emptied, undefined)).toBe(big.bytes);
  });

  test('they are fresh while less than a partition of rows has changed', () => {
    expect(isFresh({ ...big, modifiedRows: 7_000_000 }, 100)).toBe(true);
    expect(isFresh({ ...big, modifiedRows: 9_000_000 }, 100)).toBe(false);
    expect(isFresh({ ...big, estimatedRows: undefined }, 1)).toBe(false);
  });
});
