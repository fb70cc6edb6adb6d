import { describe, expect, it } from 'vitest';
import { Batch } from '../../src/connectors/lake/columns/batch.js';
import { binaryTimestamp, textDate, textTimestamp } from '../../src/connectors/lake/columns/moment.js';

describe('moments of time', () => {
  const never = () => {
    throw new Error('out of range');
  };
  const OUT = [
    'infinity',
    '-infinity',
    '0001-12-31 BC',
    '10000-01-01',
    '0001-12-31 23:59:59.999999 BC',
    '294276-12-31 23:59:59.999999',
    '0001-01-01 00:00:00+01',
    '9999-12-31 23:59:59.999999-01',
  ];
  const batchOf = (bytes: Buffer) => {
    const batch = new Batch(1, 1);
    batch.over(bytes);
    return batch;
  };
  const micros = (ints: Int32Array) => (BigInt(ints[1]!) << 32n) | BigInt(ints[0]! >>> 0);

  it.each(OUT)('%s is out of range', (text) => {
    const put = text.length > 15 || text.includes(':') ? textTimestamp(never, true) : textDate(never);
    expect(() => put(batchOf(Buffer.from(text)), 0, text.length, new Int32Array(2), 0)).toThrow('out of range');
  });

  it.each([
    '2024-02-30',
    '2023-02-29',
    '2024-13-01',
    '2024-01-01 25:00:00',
    'yesterday',
    '2024-01-01 10:00:00.1234567',
  ])('%s is none', (text) => {
    const put = textTimestamp(never, true);
    expect(() => put(batchOf(Buffer.from(text)), 0, text.length, new Int32Array(2), 0)).toThrow(/it is no|rounded/);
  });

  it.each([
    '0001-01-01T00:00:00.000Z',
    '1969-12-31T23:59:59.999Z',
    '2024-02-29T12:34:56.789Z',
    '9999-12-31T23:59:59.999Z',
  ])('%s', (iso) => {
    const expected = BigInt(Date.parse(iso)) * 1000n;
    const ints = new Int32Array(2);
    for (const text of [iso, iso.replace('T', ' ').replace('Z', '+00')]) {
      textTimestamp(never, true)(batchOf(Buffer.from(text)), 0, text.length, ints, 0);
      expect(micros(ints)).toBe(expected);
    }
    const binary = Buffer.alloc(8);
    binary.writeBigInt64BE(expected - 946_684_800_000_000n);
    binaryTimestamp(never)(batchOf(binary), 0, 8, ints, 0);
    expect(micros(ints)).toBe(expected);
  });
});
