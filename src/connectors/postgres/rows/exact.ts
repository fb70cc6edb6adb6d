import { Refusal } from './refusal.js';

/**
 * What the server would change without a word: it rounds digits that a type does not keep, and drops an offset where there is no
 * place for one. Such values are refused here. What is wrong in any other way, the server refuses by itself.
 */

/** Decimal places that a number needs, below 0 for those it ends with zeros before the point; undefined: it is no such number. */
function scaleOf(text: string): number | undefined {
  const parts = /^\s*[+-]?(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?\s*$/.exec(text.replaceAll('_', ''));
  if (parts === null) return undefined;
  const [, whole, fraction, exponent = '0'] = parts as unknown as [string, string, string, string?];
  const digits = (whole + fraction).replace(/0+$/, '');
  if (digits === '') return -Infinity;
  return digits.length - whole.length - Number(exponent);
}

/** `scale`: digits after the point that the column keeps; negative where it rounds to tens or hundreds. */
export function requireScale(text: string, scale: number, type: string): void {
  if (scale >= 0 && hasPlainScale(text, scale)) return;
  const needed = scaleOf(text);
  if (needed === undefined || needed <= scale) return;
  const has = scale < 0 ? '' : `, and it has ${needed}`;
  throw new Refusal(`its number would be rounded: ${type} keeps ${kept(scale)}${has}`);
}

/** Most numbers are written like this: no exponent, and few digits after the point. */
function hasPlainScale(text: string, scale: number): boolean {
  const point = text.indexOf('.');
  return /^-?\d*\.?\d*$/.test(text) && (point < 0 || text.length - point - 1 <= scale);
}

function kept(scale: number): string {
  if (scale < 0) return `no digit but those before the last ${-scale}`;
  return scale === 0 ? 'no digit after the point' : `${scale} digit${scale === 1 ? '' : 's'} after the point`;
}

/** `digits`: of fractions of a second that the column keeps. */
export function requireFraction(text: string, digits: number, type: string): void {
  const point = text.indexOf('.');
  if (point < 0) return;
  const fraction = /^\d*/.exec(text.slice(point + 1))![0].replace(/0+$/, '');
  if (fraction.length <= digits) return;
  throw new Refusal(
    `its time would be rounded: ${type} keeps ${digits} digits of a second, and it has ${fraction.length}`,
  );
}

/** An offset of zero says nothing that is lost. */
export function refuseOffset(text: string, type: string): void {
  const offset = /:.*[+-](\d\d(?::?\d\d)*)\s*$/.exec(text)?.[1];
  if (offset === undefined || !/[1-9]/.test(offset)) return;
  throw new Refusal(`its offset from UTC would be dropped: ${type} has no time zone`);
}

export function refuseTimeOfDay(text: string): void {
  const time = /\d+:\d.*$/.exec(text)?.[0];
  if (time === undefined || !/[1-9]/.test(time)) return;
  throw new Refusal('its time of day would be dropped: date has none');
}

/** float4 has 24 bits: every number of up to 6 digits, and of 9 digits at most those that it prints itself. */
const FLOAT4_DIGITS = 9;

export function requireFloat4(text: string): void {
  if (text.length <= FLOAT4_DIGITS || Math.fround(Number(text)) === Number(text)) return;
  const digits = text
    .replace(/[eE].*$/, '')
    .replace(/[^\d]/g, '')
    .replace(/^0+|0+$/g, '');
  if (digits.length <= FLOAT4_DIGITS || Number.isNaN(Number(text))) return;
  throw new Refusal(
    `its number would be rounded: real keeps up to ${FLOAT4_DIGITS} digits, and it has ${digits.length}`,
  );
}

/** The server cuts spaces off that are too many, and refuses anything else that is. */
export function requireLength(text: string, limit: number, type: string): void {
  if (text.length <= limit) return;
  const length = Array.from(text).length;
  if (length > limit) throw new Refusal(`its text is too long for ${type}: it has ${length} characters`);
}
