import { expect, test } from 'vitest';
import { rangesOf } from '../../workflows/announcer.js';

test('ordinals are carried on as ranges, whose number is bounded', () => {
  expect(rangesOf([], 3)).toEqual([]);
  expect(rangesOf([4, 1, 2, 3, 9], 3)).toEqual([
    [1, 4],
    [9, 9],
  ]);
  expect(rangesOf([1, 3, 5, 7, 20], 3)).toEqual([
    [1, 1],
    [3, 3],
    [5, 20],
  ]);
});
