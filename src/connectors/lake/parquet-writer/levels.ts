import type { Scratch } from './bytes.js';

/**
 * Numbers [from, to) of `bits` bits each (less than 32) in Parquet's hybrid of runs and bit packing: one run where all are `equal`, else
 * packed in groups of eight, the last filled up with zeros.
 */
export function writeHybrid(
  out: Scratch,
  values: Uint8Array | Int32Array,
  from: number,
  to: number,
  bits: number,
  equal = allEqual(values, from, to),
): void {
  if (from === to) return;
  if (equal) {
    out.varint((to - from) << 1);
    for (let shift = 0; shift < bits; shift += 8) out.byte((values[from]! >>> shift) & 0xff);
    return;
  }
  const groups = Math.ceil((to - from) / 8);
  out.varint((groups << 1) | 1);
  out.reserve(groups * bits);
  packBits(out, values, from, to, bits);
  out.at += groups * bits;
}

/** By words of 32 bits, of which the last may be cut short. */
function packBits(out: Scratch, values: Uint8Array | Int32Array, from: number, to: number, bits: number): void {
  const view = new DataView(out.bytes.buffer, out.bytes.byteOffset);
  let at = out.at;
  const end = at + Math.ceil((to - from) / 8) * bits;
  let packed = 0;
  let filled = 0;
  for (let index = from; index < to; index++) {
    const value = values[index]!;
    packed |= value << filled;
    filled += bits;
    if (filled < 32) continue;
    view.setInt32(at, packed, true);
    at += 4;
    filled -= 32;
    // Shifts count modulo 32: by as many as there are bits is by none.
    packed = filled === 0 ? 0 : value >>> (bits - filled);
  }
  for (; filled > 0; filled -= 8, packed >>>= 8) view.setUint8(at++, packed & 0xff);
  out.bytes.fill(0, at, end);
}

function allEqual(values: Uint8Array | Int32Array, from: number, to: number): boolean {
  const first = values[from];
  for (let index = from + 1; index < to; index++) if (values[index] !== first) return false;
  return true;
}

/** Levels as a data page of the first version has them: behind their length in four bytes. */
export function writeLevels(
  out: Scratch,
  levels: Uint8Array,
  from: number,
  to: number,
  bits: number,
  equal?: boolean,
): void {
  const start = out.at;
  out.reserve(4);
  out.at += 4;
  writeHybrid(out, levels, from, to, bits, equal);
  new DataView(out.bytes.buffer, out.bytes.byteOffset).setInt32(start, out.at - start - 4, true);
}

/** Booleans as PLAIN encoding has them: a bit each, the lowest first. */
export function writeBooleans(out: Scratch, values: Int32Array, from: number, to: number): void {
  const bytes = Math.ceil((to - from) / 8);
  out.reserve(bytes);
  packBits(out, values, from, to, 1);
  out.at += bytes;
}
