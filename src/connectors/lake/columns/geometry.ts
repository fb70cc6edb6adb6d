import { ValueRefused } from './batch.js';
import { putHex, type PutBytes } from './byte-values.js';

/** PostGIS' own additions to the type of a shape: where its coordinates are from (an SRID follows), and what they have beside x and y. */
const SRID = 0x20000000;
const Z = 0x80000000;
const M = 0x40000000;

/** ISO's additions, for the latter. */
const ISO_Z = 1_000;
const ISO_M = 2_000;

/** A byte for the order of bytes, and a type. */
const HEADER = 5;
const COUNT = 4;

/** Kinds of shape by what they are made of: one point, points, rings of points, other shapes. */
const POINT = new Set([1]);
const POINTS = new Set([2, 8]);
const RINGS = new Set([3, 17]);
const SHAPES = new Set([4, 5, 6, 7, 9, 10, 11, 12, 15, 16]);

/** As PostGIS sends a shape: in its extended form. */
export const binaryGeometry: PutBytes = {
  room: (length) => length,
  put({ bytes }, at, length, data, to) {
    data.set(bytes.subarray(at, at + length), to);
    return toIso(data, to, length);
  },
};

/** As it prints one: the same in hexadecimal digits. */
export const textGeometry: PutBytes = {
  room: (length) => length,
  put({ bytes }, at, length, data, to) {
    return toIso(data, to, putHex(bytes, at, length, data, to));
  },
};

/**
 * Makes ISO's well-known binary, which every reader knows, of PostGIS' extended one, in its place: as `ST_AsBinary` does it. Answers with
 * its length, which is less by the SRID of the outermost shape: no other has one.
 */
function toIso(data: Uint8Array, from: number, length: number): number {
  try {
    const size = withoutSrid(data, from, length);
    const view = new DataView(data.buffer, data.byteOffset + from, size);
    if (rewrite(view, 0) !== size) throw noShape();
    return size;
  } catch (error) {
    // A count or a type that leads beyond its end.
    throw error instanceof RangeError ? noShape() : error;
  }
}

function withoutSrid(data: Uint8Array, from: number, length: number): number {
  const view = new DataView(data.buffer, data.byteOffset + from, length);
  const little = view.getUint8(0) === 1;
  const type = view.getUint32(1, little);
  if ((type & SRID) === 0) return length;
  view.setUint32(1, (type & ~SRID) >>> 0, little);
  data.copyWithin(from + HEADER, from + HEADER + COUNT, from + length);
  return length - COUNT;
}

/** The headers of a shape and of those in it; answers where it ends. */
function rewrite(view: DataView, at: number): number {
  const little = view.getUint8(at) === 1;
  const type = view.getUint32(at + 1, little);
  const [z, m] = [(type & Z) !== 0, (type & M) !== 0];
  const kind = (type & ~(Z | M)) >>> 0;
  view.setUint32(at + 1, kind + (z ? ISO_Z : 0) + (m ? ISO_M : 0), little);
  const point = 8 * (2 + Number(z) + Number(m));
  if (POINT.has(kind)) return at + HEADER + point;
  const count = view.getUint32(at + HEADER, little);
  let next = at + HEADER + COUNT;
  if (POINTS.has(kind)) return next + count * point;
  if (RINGS.has(kind)) {
    for (let ring = 0; ring < count; ring++) next += COUNT + view.getUint32(next, little) * point;
  } else if (SHAPES.has(kind)) {
    for (let shape = 0; shape < count; shape++) next = rewrite(view, next);
  } else throw noShape();
  return next;
}

function noShape(): ValueRefused {
  return new ValueRefused('it is no shape in extended well-known binary');
}
