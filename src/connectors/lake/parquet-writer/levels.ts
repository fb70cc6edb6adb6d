import type { Scratch } from './bytes.js';

/**
 * Numbers [from, to) of `bits` bits each in Parquet's hybrid of runs and bit packing: one run where all are equal, else packed in groups of
 * eight, the last filled up with zeros.
 */
export function writeHybrid(
  out: Scratch,
  values: Uint8Array | Int32Array,
  from: number,
  to: number,
  bits: number,
): void {
  if (from === to) return;
  if (allEqual(values, from, to)) {
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

function packBits(out: Scratch, values: Uint8Array | Int32Array, from: number, to: number, bits: number): void {
  const { bytes } = out;
  let at = out.at;
  const end = at + Math.ceil((to - from) / 8) * bits;
  let packed = 0;
  let filled = 0;
  for (let index = from; index < to; index++) {
    packed |= values[index]! << filled;
    filled += bits;
    while (filled >= 8) {
      bytes[at++] = packed;
      packed >>>= 8;
      filled -= 8;
    }
  }
  if (filled > 0) bytes[at++] = packed;
  bytes.fill(0, at, end);
}

function allEqual(values: Uint8Array | Int32Array, from: number, to: number): boolean {
  const first = values[from];
  for (let index = from + 1; index < to; index++) if (values[index] !== first) return false;
  return true;
}

/** Levels as a data page of the first version has them: behind their length in four bytes. */
export function writeLevels(out: Scratch, levels: Uint8Array, from: number, to: number, bits: number): void {
  const start = out.at;
  out.reserve(4);
  out.at += 4;
  writeHybrid(out, levels, from, to, bits);
  new DataView(out.bytes.buffer, out.bytes.byteOffset).setInt32(start, out.at - start - 4, true);
}

/** Booleans as PLAIN encoding has them: a bit each, the lowest first. */
export function writeBooleans(out: Scratch, values: Int32Array, from: number, to: number): void {
  const bytes = Math.ceil((to - from) / 8);
  out.reserve(bytes);
  packBits(out, values, from, to, 1);
  out.at += bytes;
}
