import { expect, test } from 'vitest';
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatDuration,
  formatTimeLeft,
  plural,
  rateOf,
  shortenName,
  shortenText,
  wrapText,
} from '../../src/cli/format.js';

test('counts have thousands separators, compact ones three digits', () => {
  expect([0, 999, 1_234_567].map(formatCount)).toEqual(['0', '999', '1,234,567']);
  expect([0, 999, 184_321, 1_620_000].map(formatCompact)).toEqual(['0', '999', '184K', '1.62M']);
});

test('sizes use the units of job files', () => {
  expect([0, 1023, 1024, 1.5 * 1024 ** 3].map(formatBytes)).toEqual(['0 B', '1023 B', '1.0 KB', '1.5 GB']);
});

test.each([
  [0, '0.0 s'],
  [840, '0.8 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [59_499, '59 s'],
  [59_500, '1 min 00 s'],
  [185_000, '3 min 05 s'],
  [3_599_600, '1 h 00 min'],
  [8_040_000, '2 h 14 min'],
  [86_399_000, '1 d 0 h'],
  [97_200_000, '1 d 3 h'],
  [-5, '0.0 s'],
])('%i ms is %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

test('time left stays narrow, and never says none while there is some', () => {
  const times = [1, 59_000, 59_001, 64_000, 3_599_000, 8_040_000, 97_200_000];
  expect(times.map(formatTimeLeft)).toEqual(['1 s', '59 s', '1:00 min', '1:04 min', '59:59 min', '2:14 h', '1 d 3 h']);
});

test('a rate needs time', () => {
  expect(rateOf(500, 250)).toBe(2_000);
  expect(rateOf(500, 0)).toBeUndefined();
});

test('names lose their beginning, texts their end', () => {
  expect(shortenName('public.orders_archive', 12)).toBe('…ers_archive');
  expect(shortenName('public.orders', 13)).toBe('public.orders');
  expect(shortenText('one\n  two three', 9)).toBe('one two …');
});

test('plurals', () => {
  expect([plural(1, 'table'), plural(0, 'table'), plural(1_200, 'retry', 'retries')]).toEqual([
    '1 table',
    '0 tables',
    '1,200 retries',
  ]);
});

test('lines break between words, keep their indent, and colours take no room', () => {
  expect(wrapText('    public.orders 5/20: a value was refused', 24)).toBe(
    '    public.orders 5/20:\n    a value was refused',
  );
  expect(wrapText('\u001b[31m✖ failed\u001b[39m  nightly', 17)).toBe('\u001b[31m✖ failed\u001b[39m  nightly');
  expect(wrapText('https://example.com/longer-than-the-line yes', 10)).toBe(
    'https://example.com/longer-than-the-line\nyes',
  );
});
