import { ValueRefused } from './batch.js';
import type { Unholdable } from './out-of-range.js';
import { putBigInt, putWhole, type PutWords } from './put.js';

/** Postgres counts from 2000-01-01, Parquet from 1970-01-01. */
const EPOCH_DAYS = 10_957;
const EPOCH_MICROS = BigInt(EPOCH_DAYS) * 86_400_000_000n;
const EPOCH_LOW = Number(BigInt.asIntN(32, EPOCH_MICROS));
const EPOCH_HIGH = Number(EPOCH_MICROS >> 32n);

/** 0001-01-01 and 9999-12-31: readers agree on no day before or after. */
const FIRST_DAY = -719_162;
const LAST_DAY = 2_932_896;
const FIRST_MICROS = BigInt(FIRST_DAY) * 86_400_000_000n;
/** The first that is too late. */
const END_MICROS = BigInt(LAST_DAY + 1) * 86_400_000_000n;
const FIRST_HIGH = Number(FIRST_MICROS >> 32n);
const END_HIGH = Number(END_MICROS >> 32n);

const RANGE = 'a date that is infinite, before year 1 or after year 9999';

export function binaryDate(refuse: Unholdable): PutWords {
  return ({ view }, at, _length, ints, to) => {
    const days = view.getInt32(at) + EPOCH_DAYS;
    if (days < FIRST_DAY || days > LAST_DAY) return refuse(RANGE);
    ints[to] = days;
    return true;
  };
}

/** Microseconds in 64 bits; infinities are the greatest and the least of them. */
export function binaryTimestamp(refuse: Unholdable): PutWords {
  return ({ view }, at, _length, ints, to) => {
    const low = (view.getInt32(at + 4) >>> 0) + (EPOCH_LOW >>> 0);
    const high = view.getInt32(at) + EPOCH_HIGH + (low > 0xffffffff ? 1 : 0);
    // Only in the first and the last hour or so of the range is it the low word that decides.
    if (high <= FIRST_HIGH || high >= END_HIGH) {
      const micros = BigInt(high) * 0x100000000n + BigInt(low % 0x100000000);
      if (micros < FIRST_MICROS || micros >= END_MICROS) return refuse(RANGE);
    }
    ints[to] = low;
    ints[to + 1] = high;
    return true;
  };
}

const PLAIN_DATE = 10;
const DASH = 0x2d;

/** `2024-01-31`, and what other programs write beside it. */
export function textDate(refuse: Unholdable): PutWords {
  return ({ bytes }, at, length, ints, to) => {
    const plain = length === PLAIN_DATE ? plainDays(bytes, at) : NaN;
    if (plain === plain) {
      ints[to] = plain;
      return true;
    }
    const parsed = parseMoment(textAt(bytes, at, length));
    if (parsed === 'out of range') return refuse(RANGE);
    if (parsed.micros !== 0 || parsed.offset !== 0) throw notA('date');
    ints[to] = parsed.days;
    return true;
  };
}

/** `2024-01-31 10:00:00.123456`, for `timestamp` with an offset from UTC; without one it is UTC. */
export function textTimestamp(refuse: Unholdable, zoned: boolean): PutWords {
  return ({ bytes }, at, length, ints, to) => {
    const days = length >= PLAIN_TIMESTAMP ? plainDays(bytes, at) : NaN;
    const micros = days === days ? plainMicros(bytes, at + PLAIN_DATE, length - PLAIN_DATE, zoned) : NaN;
    if (micros === micros) {
      putMicros(days, micros, ints, to);
      return true;
    }
    const parsed = parseMoment(textAt(bytes, at, length));
    if (parsed === 'out of range') return refuse(RANGE);
    if (!zoned && parsed.offset !== 0) throw new ValueRefused('its offset from UTC would be dropped');
    const total = parsed.micros - parsed.offset * 1_000_000;
    const moved = parsed.days + Math.floor(total / DAY_MICROS);
    if (moved < FIRST_DAY || moved > LAST_DAY) return refuse(RANGE);
    putMicros(parsed.days, total, ints, to);
    return true;
  };
}

const DAY_MICROS = 86_400_000_000;

function putMicros(days: number, micros: number, ints: Int32Array, to: number): void {
  const total = days * DAY_MICROS + micros;
  if (Math.abs(total) < 2 ** 52) putWhole(total, 2, ints, to);
  else putBigInt(BigInt(days) * BigInt(DAY_MICROS) + BigInt(micros), 2, ints, to);
}

const digit = (bytes: Uint8Array, at: number) => bytes[at]! - 0x30;

function twoDigits(bytes: Uint8Array, at: number): number {
  const [tens, ones] = [digit(bytes, at), digit(bytes, at + 1)];
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN;
}

/** Days since 1970 of `YYYY-MM-DD` at `at`; NaN: it is none, or no day of ours. */
function plainDays(bytes: Uint8Array, at: number): number {
  if (bytes[at + 4] !== DASH || bytes[at + 7] !== DASH) return NaN;
  const year = twoDigits(bytes, at) * 100 + twoDigits(bytes, at + 2);
  return daysOf(year, twoDigits(bytes, at + 5), twoDigits(bytes, at + 8));
}

const COLON = 0x3a;
const SPACE = 0x20;
/** Bytes of `2024-01-31 10:00:00`. */
const PLAIN_TIMESTAMP = 19;
const PLAIN_TIME = 9;

/** ` 10:00:00.123456`, and `+00` where it is zoned; NaN: it is something else. */
function plainMicros(bytes: Uint8Array, at: number, length: number, zoned: boolean): number {
  let end = at + length;
  if (zoned) {
    if (bytes[end - 3] !== 0x2b || twoDigits(bytes, end - 2) !== 0) return NaN;
    end -= 3;
  }
  if (end - at < PLAIN_TIME || bytes[at] !== SPACE || bytes[at + 3] !== COLON || bytes[at + 6] !== COLON) return NaN;
  const [hours, minutes, seconds] = [twoDigits(bytes, at + 1), twoDigits(bytes, at + 4), twoDigits(bytes, at + 7)];
  if (!(hours < 24 && minutes < 60 && seconds < 60)) return NaN;
  const whole = (hours * 3600 + minutes * 60 + seconds) * 1_000_000;
  if (end - at === PLAIN_TIME) return whole;
  const places = end - at - PLAIN_TIME - 1;
  if (bytes[at + PLAIN_TIME] !== 0x2e || places < 1 || places > 6) return NaN;
  let fraction = 0;
  for (let place = 0; place < 6; place++) {
    const next = place < places ? digit(bytes, at + PLAIN_TIME + 1 + place) : 0;
    if (next < 0 || next > 9) return NaN;
    fraction = fraction * 10 + next;
  }
  return whole + fraction;
}

interface Moment {
  readonly days: number;
  readonly micros: number;
  /** Seconds east of UTC. */
  readonly offset: number;
}

const MOMENT =
  /^(\d{1,7})-(\d\d?)-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*(Z|[+-]\d\d?(?::?\d\d(?::?\d\d)?)?)?(\s*BC)?$/i;

function parseMoment(text: string): Moment | 'out of range' {
  if (/^[+-]?infinity$/i.test(text)) return 'out of range';
  const parts = MOMENT.exec(text);
  if (parts === null) throw notA('date or time in ISO form');
  const [year, month, day, hours = 0, minutes = 0, seconds = 0] = parts.slice(1, 7).map(numberOf);
  const digits = (parts[7] ?? '').replace(/0+$/, '');
  if (digits.length > 6) throw new ValueRefused('its time would be rounded: the lake keeps microseconds');
  if (parts[9] !== undefined || year! > 9999) return 'out of range';
  const days = daysOf(year!, month!, day!);
  if (days !== days || minutes > 59 || seconds > 60 || hours > 24) throw notA('date or time in ISO form');
  const micros = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + Number(digits.padEnd(6, '0'));
  if (micros > DAY_MICROS && hours === 24) throw notA('date or time in ISO form');
  return { days, micros, offset: offsetOf(parts[8] ?? 'Z') };
}

function offsetOf(text: string): number {
  const parts = /^([+-])(\d\d?):?(\d\d)?:?(\d\d)?$/.exec(text);
  if (parts === null) return 0;
  const [hours, minutes, seconds] = parts.slice(2).map(numberOf) as [number, number, number];
  return (hours * 3600 + minutes * 60 + seconds) * (parts[1] === '-' ? -1 : 1);
}

/** Of a part that may be missing. */
const numberOf = (part: string | undefined) => Number(part ?? 0);

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Days since 1970 in the Gregorian calendar, also before there was one; NaN: there is no such day from year 1 to 9999. */
function daysOf(year: number, month: number, day: number): number {
  if (!(year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1)) return NaN;
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (day > MONTH_DAYS[month - 1]! + (leap && month === 2 ? 1 : 0)) return NaN;
  // Years begin in March here, so that a leap day is the last of its year.
  const shifted = month > 2 ? year : year - 1;
  const century = Math.floor(shifted / 100);
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return Math.floor(shifted * 365.25) - century + Math.floor(century / 4) + dayOfYear - 719_468;
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length)
    .toString('latin1')
    .trim();
}

function notA(what: string): ValueRefused {
  return new ValueRefused(`it is no ${what}`);
}
