import { expect, test } from 'vitest';
import { boundedAmid, utf8Length } from '../../src/core/text.js';

test('what is cut out of the middle leaves the first and the last words', () => {
  const error = `Query 3: the program exited with code 1.\n${'  File "x.py"\n'.repeat(30)}ValueError: ☕ is no day`;
  const short = boundedAmid(error, 150);
  expect(short).toMatch(/^Query 3: the program exited with code 1\.[^]*… [^]*ValueError: ☕ is no day$/);
  expect(utf8Length(short)).toBeLessThanOrEqual(150);
  expect(boundedAmid('as it is', 8)).toBe('as it is');
});
