import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionValueText } from '../../src/connectors/delta/log/partition-value.js';
import { indexedColumns, statsJson } from '../../src/connectors/delta/log/statistics.js';
import type { LakeType } from '../../src/connectors/lake/model.js';
import { dataFile, lakeColumn } from '../support/delta.js';

interface Stats {
  readonly minValues: Record<string, string>;
  readonly maxValues: Record<string, string>;
  readonly nullCount: Record<string, number>;
}

function text(type: LakeType | LakeType['kind'], min?: string, max?: string): string {
  const known = { ...(min !== undefined && { min }), ...(max !== undefined && { max }), nulls: 2 };
  return statsJson(dataFile('f', { c: known }), [lakeColumn('c', type)]);
}

function bounds(type: LakeType | LakeType['kind'], min: string, max: string): (string | undefined)[] {
  const { minValues, maxValues, nullCount } = JSON.parse(text(type, min, max)) as Stats;
  expect(nullCount).toEqual({ c: 2 });
  return [minValues['c'], maxValues['c']];
}

describe('bounds', () => {
  it('of numbers have all digits', () => {
    expect(text('long', '-9223372036854775808', '9223372036854775807')).toBe(
      '{"numRecords":10,"minValues":{"c":-9223372036854775808},"maxValues":{"c":9223372036854775807},"nullCount":{"c":2}}',
    );
    const digits = '12345678901234567890123456789012345.678';
    expect(text({ kind: 'decimal', precision: 38, scale: 3 }, '-0.500', digits)).toContain(
      `"minValues":{"c":-0.500},"maxValues":{"c":${digits}}`,
    );
  });

  it('of floats are exact, and none where they are infinite or not numbers', () => {
    expect(bounds('float', '0.1', '3.4028235e+38')).toEqual([Math.fround(0.1), Math.fround(3.4028235e38)]);
    expect(bounds('double', '-Infinity', '2.5')).toEqual([undefined, 2.5]);
    expect(bounds('double', '1', 'NaN')).toEqual([1, undefined]);
    expect(text('double', '0', '-0')).toContain('"minValues":{"c":-0.0},"maxValues":{"c":0.0}');
  });

  it('of times are in milliseconds, the upper one rounded up', () => {
    expect(bounds('timestamp', '2024-01-31 10:00:00.123456+00', '2024-12-31 23:59:59.999001+00')).toEqual([
      ...['2024-01-31T10:00:00.123Z', '2025-01-01T00:00:00.000Z'],
    ]);
    expect(bounds('timestamp_ntz', '0001-01-01 00:00:00', '2024-01-31 10:00:00.1')).toEqual([
      ...['0001-01-01T00:00:00.000', '2024-01-31T10:00:00.100'],
    ]);
    expect(bounds('timestamp_ntz', '2024-01-31 10:00:00', '9999-12-31 23:59:59.999999')).toEqual([
      ...['2024-01-31T10:00:00.000', undefined],
    ]);
    expect(bounds('date', '2024-01-31', '2024-02-29')).toEqual(['2024-01-31', '2024-02-29']);
  });

  it('are given for no type by which engines pass over no file', () => {
    for (const type of ['boolean', 'binary', { kind: 'list', element: { kind: 'long' } }] as const) {
      expect(bounds(type, 'a', 'b')).toEqual([undefined, undefined]);
    }
    expect(text('long')).toBe('{"numRecords":10,"minValues":{},"maxValues":{},"nullCount":{"c":2}}');
  });

  it('of texts are cut at 32 characters and never narrower', () => {
    const long = 'a'.repeat(40);
    expect(bounds('string', long, long)).toEqual(['a'.repeat(32), `${'a'.repeat(32)}\u007f`]);
    expect(bounds('string', 'x', `${'a'.repeat(32)}ü`)[1]).toBe(`${'a'.repeat(32)}\u{10ffff}`);
    expect(bounds('string', 'x', `${'a'.repeat(32)}\u007f`)[1]).toBe(`${'a'.repeat(32)}\u{10ffff}`);
    expect(bounds('string', 'x', `${'a'.repeat(32)}\u{10ffff}b`)[1]).toBeUndefined();
    const unit = fc.oneof(
      fc.constantFrom('a', '\u007f', '\u{10ffff}', '\ue000', '"', '\n'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.array(unit, { minLength: 25, maxLength: 45 }), (units) => {
        const value = units.join('');
        const [min, max] = bounds('string', value, value);
        expect(Buffer.compare(Buffer.from(min!), Buffer.from(value))).toBeLessThanOrEqual(0);
        if (max !== undefined) expect(Buffer.compare(Buffer.from(max), Buffer.from(value))).toBeGreaterThanOrEqual(0);
        expect(Array.from(max ?? '').length).toBeLessThanOrEqual(33);
      }),
      { numRuns: 300 },
    );
  });
});

it('statistics are kept of the first columns, of those that a table names, and of those it is clustered by', () => {
  const columns = Array.from({ length: 40 }, (_, index) => lakeColumn(`c${index}`, 'long'));
  const fields = columns.map(({ name }) => ({ name, type: 'long', nullable: true, metadata: {} }));
  const metadata = { id: 'x', format: { provider: 'parquet', options: {} }, partitionColumns: ['c0'] };
  const names = (configuration: Record<string, string>, clustering?: string) =>
    indexedColumns(columns, { ...metadata, configuration, schemaString: JSON.stringify({ fields }) }, clustering).map(
      ({ name }) => name,
    );
  expect(names({})).toEqual(Array.from({ length: 32 }, (_, index) => `c${index + 1}`));
  expect(names({ 'delta.dataSkippingNumIndexedCols': '-1' })).toHaveLength(39);
  expect(names({ 'delta.dataSkippingStatsColumns': 'c3, `c39`' }, '{"clusteringColumns":[["c38"]]}')).toEqual([
    'c3',
    'c38',
    'c39',
  ]);
});

describe('a partition value', () => {
  it('is written as the protocol has it', () => {
    expect(partitionValueText('c', { kind: 'timestamp' }, '2024-01-31 10:00:00.12+00')).toBe(
      '2024-01-31T10:00:00.120000Z',
    );
    expect(partitionValueText('c', { kind: 'timestamp' }, '2024-01-31 10:00:00+00')).toBe('2024-01-31T10:00:00Z');
    expect(partitionValueText('c', { kind: 'timestamp_ntz' }, '2024-01-31 10:00:00.123456')).toBe(
      '2024-01-31 10:00:00.123456',
    );
    expect(partitionValueText('c', { kind: 'boolean' }, 'true')).toBe('true');
    expect(partitionValueText('c', { kind: 'string' }, null)).toBeNull();
    expect(partitionValueText('c', { kind: 'string' }, 'a/b=ü')).toBe('a/b=ü');
  });

  it('that is the empty text is refused: it would come back as NULL', () => {
    expect(() => partitionValueText('c', { kind: 'string' }, '')).toThrow(/which every engine reads as NULL/);
  });
});
