import fc from 'fast-check';
import ms from 'ms';
import { describe, expect, it } from 'vitest';
import { parseCount, parseDuration, parseSize } from '../../src/config/quantities.js';
import { didYouMean } from '../../src/core/suggest.js';

const space = fc.constantFrom('', ' ');

describe('quantities', () => {
  it('read back every duration in its unit', () => {
    const units = fc.constantFrom<[string, number]>(
      ['ms', 1],
      ['s', 1e3],
      ['minutes', 6e4],
      ['m', 6e4],
      ['h', 36e5],
      ['day', 864e5],
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 366 }), units, space, (n, [unit, factor], gap) => {
        expect(parseDuration(`${n}${gap}${unit}`)).toBe(n * factor);
      }),
    );
  });

  it('read back what ms writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 59 }), fc.constantFrom(1, 1000, 60_000, 3_600_000), (n, factor) => {
        expect(parseDuration(ms(Math.min(n, 23) * factor))).toBe(Math.min(n, 23) * factor);
      }),
    );
  });

  it('read back every size and count in its unit', () => {
    const sizes = fc.constantFrom<[string, number]>(
      ['B', 1],
      ['KB', 2 ** 10],
      ['kb', 2 ** 10],
      ['MB', 2 ** 20],
      ['GiB', 2 ** 30],
      ['TB', 2 ** 40],
    );
    const counts = fc.constantFrom<[string, number]>(
      ['', 1],
      [' rows', 1],
      ['k', 1e3],
      ['M', 1e6],
      ['M rows', 1e6],
      ['bn', 1e9],
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), sizes, counts, space, (n, [size, bytes], [count, factor], gap) => {
        expect(parseSize(`${n}${gap}${size}`)).toBe(n * bytes);
        expect(parseCount(`${n}${count}`)).toBe(n * factor);
      }),
    );
  });

  it('never answer with anything but a whole number above 0', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^-?\d{0,20}\.?\d{0,3} ?[a-zA-Z]{0,3}$/)), (text) => {
        for (const parse of [parseDuration, parseSize, parseCount]) {
          const value = parse(text);
          expect(value === undefined || (Number.isSafeInteger(value) && value > 0)).toBe(true);
        }
      }),
    );
  });

  it.each(['5', '5M', '-5m', '0s', '1h30m', '5 m m', '', '1e3s', '400d', '9y', 'five minutes'])(
    '%j is no duration',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it.each(['5', '0MB', '-1GB', '1PB', '1 XB', 'MB', '1,5GB', '9999999TB'])('%j is no size', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });

  it.each(['5m', '0', '-1', '1.5', '5MB', '1e6', '5 million', '99999999999999999999'])('%j is no count', (text) => {
    expect(parseCount(text)).toBeUndefined();
  });

  it.each([
    ['1.5GB', 1.5 * 2 ** 30],
    ['0.5KB', 512],
  ])('%s is %d bytes', (text, value) => {
    expect(parseSize(text)).toBe(value);
  });

  it('takes fractions of millions as they are meant', () => {
    expect(parseCount('1.1M')).toBe(1_100_000);
  });
});

describe('didYouMean', () => {
  it.each([
    ['form', 'from'],
    ['paralelism', 'parallelism'],
    ['maxAttempts', 'maximumAttempts'],
    ['public.order', 'public.orders'],
    ['REPLACE', 'replace'],
    ['zebra', undefined],
    ['', undefined],
  ])('%s → %s', (word, meant) => {
    const candidates = ['to', 'from', 'replace', 'parallelism', 'maximumAttempts', 'public.orders'];
    expect(didYouMean(word, candidates)).toBe(meant);
  });
});
