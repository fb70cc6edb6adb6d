import bytes from 'bytes';
import ms from 'ms';
import { z } from 'zod';
import { kindOf, shown } from './problems.js';

/**
 * Durations, sizes and counts as people write them. A number without its unit is refused where it could be read in two ways
 * (is 30 seconds or milliseconds?); so is `5m` as a count and `5M` as a duration.
 */

/** Days in the longest duration: beyond it a typing error is likelier than a wish. */
const LONGEST_DAYS = 366;

const DURATION = /^\d+(\.\d+)? ?(ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)$/;
const SIZE = /^(\d+(?:\.\d+)?) ?([kmgt]?)i?b$/i;
const COUNT = /^(\d+(?:\.\d+)?) ?([kKMB]|bn)?( rows?)?$/;
const COUNT_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, K: 1e3, M: 1e6, B: 1e9, bn: 1e9 };

/** `30s`, `5m`, `1.5h`, `7d` to whole milliseconds, more than 0 and at most 366 days. Undefined: not a duration. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (!DURATION.test(trimmed)) return undefined;
  const value = Math.round(ms(trimmed as ms.StringValue));
  return value > 0 && value <= LONGEST_DAYS * ms('1d') ? value : undefined;
}

/** `64KB`, `250MB`, `1.5 GB` to bytes; 1 KB is 1024 bytes, as Postgres counts (KiB is the same). More than 0. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const value = match[2] === '' ? Math.floor(Number(match[1])) : bytes.parse(`${match[1]}${match[2]}B`);
  return value !== null && value > 0 && Number.isSafeInteger(value) ? value : undefined;
}

/** `400`, `250k`, `5M`, `5M rows`, `1.5B` (thousand, million, thousand million) to a whole number, more than 0. */
export function parseCount(text: string): number | undefined {
  const match = COUNT.exec(text.trim());
  if (match === null) return undefined;
  // Rounded to undo binary fractions only: 1.1M is 1100000.0000000002.
  const exact = Number(match[1]) * COUNT_UNITS[match[2] ?? '']!;
  const value = Math.round(exact);
  return Math.abs(exact - value) < 1e-6 && value > 0 && Number.isSafeInteger(value) ? value : undefined;
}

/** A duration of at least `least` (itself a duration); `why` it is no less. */
export function duration(example: string, least = '1ms', why?: string) {
  const fix = `write a number with its unit, e.g. ${example}`;
  return z.string({ error: ({ input }) => wrong(input, 'a duration', fix) }).transform((text, context) => {
    const value = parseDuration(text);
    if (value !== undefined && value >= parseDuration(least)!) return value;
    const short = `is too short — write at least ${least}${why === undefined ? '' : `: ${why}`}`;
    context.addIssue({ code: 'custom', message: value === undefined ? wrong(text, 'a duration', fix) : short });
    return z.NEVER;
  });
}

export function size(example: string) {
  const fix = `write a number with its unit, e.g. ${example}`;
  return z
    .string({ error: ({ input }) => wrong(input, 'a size', fix) })
    .transform((text, context) => parsedOr(parseSize(text), wrong(text, 'a size', fix), context));
}

export function count(example: string) {
  const fix = `write a whole number above 0, e.g. ${example} (k, M, B: thousand, million, thousand million)`;
  return z
    .union([z.string(), z.number()], { error: ({ input }) => wrong(input, 'a count', fix) })
    .transform((value, context) => parsedOr(parseCount(String(value)), wrong(value, 'a count', fix), context));
}

function parsedOr(value: number | undefined, message: string, context: z.RefinementCtx): number {
  if (value !== undefined) return value;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/** A whole number of a bounded range. */
export function wholeNumber(least: number, most: number) {
  const error = ({ input }: { input?: unknown }) =>
    wrong(input, 'allowed', `write a whole number from ${least} to ${most}`);
  return z.int({ error }).min(least, { error }).max(most, { error });
}

/** As `wholeNumber`, and the same as digits in a text, which is what a `${ENV}` reference gives. */
export function wholeNumberOrDigits(least: number, most: number) {
  const digits = (value: unknown) => (typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value);
  return z.preprocess(digits, wholeNumber(least, most));
}

function wrong(input: unknown, what: string, fix: string): string {
  const written = typeof input === 'string' || typeof input === 'number' ? shown(input) : kindOf(input);
  return `${written} is not ${what} — ${fix}`;
}
