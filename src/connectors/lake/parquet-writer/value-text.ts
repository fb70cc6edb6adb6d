import type { LakeType } from '../model.js';
import type { Bound } from './bounds.js';

const MICROS_PER_DAY = 86_400_000_000n;
const MS_PER_DAY = 86_400_000;

/** A value as a text, in the form of `Value`: exact, ISO style. */
export function valueText(value: Bound, type: LakeType): string {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8');
  if (type.kind === 'float' || type.kind === 'double') return Object.is(value, -0) ? '-0' : String(value);
  const whole = BigInt(value);
  if (type.kind === 'boolean') return whole === 1n ? 'true' : 'false';
  if (type.kind === 'date') return dateText(Number(whole));
  if (type.kind === 'timestamp_ntz') return timestampText(whole);
  if (type.kind === 'timestamp') return `${timestampText(whole)}+00`;
  return type.kind === 'decimal' ? decimalText(whole, type.scale) : whole.toString();
}

/** Years 1 to 9999. */
function dateText(days: number): string {
  return new Date(days * MS_PER_DAY).toISOString().slice(0, 10);
}

function timestampText(micros: bigint): string {
  const within = ((micros % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY;
  const days = Number((micros - within) / MICROS_PER_DAY);
  const time = new Date(Number(within / 1000n)).toISOString().slice(11, 23);
  const last = String(within % 1000n).padStart(3, '0');
  return `${dateText(days)} ${`${time}${last}`.replace(/\.?0{1,6}$/, '')}`;
}

function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString();
  const negative = unscaled < 0n;
  const digits = (negative ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
