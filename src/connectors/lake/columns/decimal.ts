import { ValueRefused } from './batch.js';
import type { Unholdable } from './out-of-range.js';
import { putBigInt, putWhole, type PutWords } from './put.js';

/** Powers of ten that a double holds exactly. */
const POWERS = Array.from({ length: 16 }, (_, power) => 10 ** power);
/** Decimal digits that a double holds exactly. */
const EXACT_DIGITS = 15;

const NEGATIVE = 0x4000;
/** From here on, the sign says NaN or an infinity. */
const SPECIAL = 0xc000;

interface DecimalForm {
  readonly precision: number;
  readonly scale: number;
  readonly words: 1 | 2 | 4;
  readonly refuse: Unholdable;
}

/** Numbers as Postgres sends them: a count of digits of base 10,000, the first one's weight, the sign, the shown scale, the digits. */
export function binaryDecimal(form: DecimalForm): PutWords {
  const { scale, words, refuse } = form;
  const limit = form.precision <= EXACT_DIGITS ? POWERS[form.precision]! : Infinity;
  const large = largeBinary(form);
  return ({ view }, at, _length, ints, to) => {
    const sign = view.getUint16(at + 4);
    if (sign >= SPECIAL) return refuse('NaN or an infinity');
    const digits = view.getUint16(at);
    const places = (view.getInt16(at + 2) - digits + 1) * 4 + scale;
    if (digits * 4 + places > EXACT_DIGITS || places <= -4) return large(view, at, ints, to);
    let value = 0;
    const last = at + 6 + digits * 2;
    for (let digit = at + 8; digit < last; digit += 2) value = value * 10_000 + view.getUint16(digit);
    if (places < 0) value = value * POWERS[4 + places]! + withoutLast(view.getUint16(last), -places);
    else if (digits > 0) value = (value * 10_000 + view.getUint16(last)) * POWERS[places]!;
    if (value >= limit) throw tooLarge(form);
    putWhole(sign === NEGATIVE ? -value : value, words, ints, to);
    return true;
  };
}

/** A digit of base 10,000 without its last `places` places, 1 to 3, which must be zeros. */
function withoutLast(digit: number, places: number): number {
  const part = digit / POWERS[places]!;
  if (part !== Math.floor(part)) throw tooFine();
  return part;
}

function largeBinary(form: DecimalForm) {
  const limit = 10n ** BigInt(form.precision);
  return (view: DataView, at: number, ints: Int32Array, to: number): boolean => {
    const digits = view.getUint16(at);
    let value = 0n;
    for (let digit = 0; digit < digits; digit++) value = value * 10_000n + BigInt(view.getUint16(at + 8 + digit * 2));
    const places = (view.getInt16(at + 2) - digits + 1) * 4 + form.scale;
    value = scaled(value, places);
    if (value >= limit) throw tooLarge(form);
    putBigInt(view.getUint16(at + 4) === NEGATIVE ? -value : value, form.words, ints, to);
    return true;
  };
}

function scaled(value: bigint, places: number): bigint {
  if (places >= 0) return value * 10n ** BigInt(places);
  const divisor = 10n ** BigInt(-places);
  if (value % divisor !== 0n) throw tooFine();
  return value / divisor;
}

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

/** Numbers as text: `-12.50`, and with an exponent. */
export function textDecimal(form: DecimalForm): PutWords {
  const { scale, words } = form;
  const limit = form.precision <= EXACT_DIGITS ? POWERS[form.precision]! : Infinity;
  return (batch, at, length, ints, to) => {
    const { bytes } = batch;
    const end = at + length;
    const negative = bytes[at] === MINUS;
    let value = 0;
    let places = -1;
    let next = negative ? at + 1 : at;
    const first = next;
    for (; next < end; next++) {
      const digit = bytes[next]! - ZERO;
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit;
        if (places >= 0) places++;
      } else if (bytes[next] === POINT && places < 0) places = 0;
      else return largeText(form, bytes, at, length, ints, to);
    }
    const missing = scale - Math.max(places, 0);
    if (next - first + missing > EXACT_DIGITS || missing < 0 || first === end) {
      return largeText(form, bytes, at, length, ints, to);
    }
    value *= POWERS[missing]!;
    if (value >= limit) throw tooLarge(form);
    putWhole(negative ? -value : value, words, ints, to);
    return true;
  };
}

function largeText(
  form: DecimalForm,
  bytes: Uint8Array,
  at: number,
  length: number,
  ints: Int32Array,
  to: number,
): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + at, length)
    .toString('latin1')
    .trim();
  if (/^[+-]?(nan|inf(inity)?)$/i.test(text)) return form.refuse('NaN or an infinity');
  const value = unscaled(text, form.scale);
  const limit = 10n ** BigInt(form.precision);
  if (value >= limit || -value >= limit) throw tooLarge(form);
  putBigInt(value, form.words, ints, to);
  return true;
}

/** More zeros than any number of a decimal has; an exponent beyond is no number of ours. */
const MOST_PLACES = 10_000;

/** A decimal number as a whole one of units of 10 to the power of -scale. */
function unscaled(text: string, scale: number): bigint {
  const parts = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  const [sign, whole, fractional = '', exponent = '0'] = parts?.slice(1) ?? [];
  if (parts === null || `${whole}${fractional}` === '') throw new ValueRefused('it is no decimal number');
  const value = BigInt(`${whole}${fractional}`);
  const places = scale + Number(exponent) - fractional.length;
  if (value === 0n) return 0n;
  if (Math.abs(places) > MOST_PLACES) throw new ValueRefused('its number has too many digits');
  return scaled(sign === '-' ? -value : value, places);
}

function tooLarge({ precision, scale }: DecimalForm): ValueRefused {
  return new ValueRefused(`its number has too many digits for decimal(${precision},${scale})`);
}

function tooFine(): ValueRefused {
  return new ValueRefused('its number has more digits after the point than its decimal type keeps');
}
