import { describe, expect, it } from 'vitest';
import { addDigests, digestOf, verdictOf, type Copied, type Digested } from '../../src/core/digest.js';

const of = (rows: number, sum: number, form = 'f'): Digested => ({ rows, digest: digestOf(form, BigInt(sum)) });

describe('digests', () => {
  it('add up beyond 64 bits, and only in one form', () => {
    const most = digestOf('f', 2n ** 63n - 1n);
    expect(addDigests('f', [most, most, digestOf('f', -5n)])).toBe(`f:${2n ** 64n - 7n}`);
    expect(addDigests('f', [])).toBe('f:0');
    expect(() => addDigests('f', [digestOf('g', 1n)])).toThrow(RangeError);
  });
});

describe('a verdict', () => {
  it.each<[Digested, Copied, Digested, boolean, string]>([
    [of(2, 7), of(2, 7), of(2, 7), false, 'equal'],
    [of(2, 8), of(2, 7), of(2, 8), false, 'equal'],
    [of(2, 8), of(2, 7), of(2, 7), false, 'source changed'],
    [of(2, 7), of(2, 7), of(2, 8), false, 'target changed'],
    [of(2, 8), of(2, 7), of(2, 9), false, 'both changed'],
    [of(2, 7), { rows: 2 }, of(2, 8), false, 'differs'],
    [of(3, 7), { rows: 2 }, of(2, 8), false, 'source changed'],
    [of(2, 7), { rows: 2 }, of(1, 8), false, 'target changed'],
    [of(2, 7), of(2, 7, 'older'), of(2, 8), false, 'differs'],
    [of(2, 7), of(2, 7), of(3, 8), true, 'undecided'],
    [of(2, 7), of(2, 7), of(1, 8), true, 'target changed'],
  ])('of %j, copied %j, now %j, shared %s: %s', (source, copied, target, shared, verdict) => {
    expect(verdictOf(source, copied, target, shared)).toBe(verdict);
  });
});
