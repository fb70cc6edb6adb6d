import type { ListLevels, Leaf } from '../parquet-writer/leaf.js';
import { Batch, ValueRefused } from './batch.js';
import type { Form } from './decoders.js';
import { located, type Fill } from './fill.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

const NESTED =
  'it is an array of more than one dimension, or one that does not begin at 1, and the lake has lists only';

/** Where the elements of one array are: told one by one, in order. */
type Tell = (start: number, length: number) => void;

/** What stands between the elements of an array's text: by their type. */
export type Delimiter = ',' | ';' | ':';

/** Decodes arrays into a leaf of elements and the levels that say which belong together. */
export function fillLists(elements: Fill<Leaf>, form: Form, delimiter: Delimiter, nullable: boolean) {
  const walk = form === 'binary' ? walkBinary : walkText(delimiter.charCodeAt(0));
  const empty = nullable ? 1 : 0;
  return (batch: Batch, field: number, leaf: Leaf, levels: ListLevels): void => {
    const sizes = new Int32Array(batch.rows);
    const places: number[] = [];
    for (let row = 0; row < batch.rows; row++) {
      const at = field * batch.capacity + row;
      const before = places.length;
      const length = batch.lengths[at]!;
      const tell: Tell = (start, size) => void places.push(start, size);
      if (length >= 0) inRow(row, () => walk(batch, batch.starts[at]!, length, tell));
      sizes[row] = length < 0 ? -1 : (places.length - before) / 2;
    }
    const first = leaf.slots;
    decode(batch, places, sizes, (inner) => elements(inner, 0, leaf));
    addLevels(levels, sizes, leaf, first, empty);
  };
}

function inRow(row: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw located(error, row);
  }
}

function decode(batch: Batch, places: readonly number[], sizes: Int32Array, fill: (inner: Batch) => void): void {
  const inner = new Batch(1, Math.max(1, places.length / 2));
  inner.over(batch.bytes);
  inner.rows = places.length / 2;
  for (let index = 0; index < inner.rows; index++) {
    inner.starts[index] = places[index * 2]!;
    inner.lengths[index] = places[index * 2 + 1]!;
  }
  try {
    fill(inner);
  } catch (error) {
    if (error instanceof ValueRefused) error.row = rowOf(sizes, error.row);
    throw error;
  }
}

/** The row that has the element. */
function rowOf(sizes: Int32Array, element: number): number {
  let before = 0;
  return sizes.findIndex((size) => (before += Math.max(size, 0)) > element);
}

/** `empty`: the definition level of a list without elements; above it, that of NULL, and of a value. */
function addLevels(levels: ListLevels, sizes: Int32Array, leaf: Leaf, first: number, empty: number): void {
  let slot = first;
  levels.reserve(leaf.slots - first + sizes.length);
  for (const size of sizes) {
    if (size < 0) levels.nulls++;
    if (size <= 0) levels.add(0, size < 0 ? 0 : empty);
    for (let element = 0; element < size; element++)
      levels.add(element === 0 ? 0 : 1, empty + 1 + leaf.present[slot++]!);
  }
}

/** Dimensions, flags, the elements' type, and by dimension a size and the lower bound. */
function walkBinary({ view }: Batch, at: number, _length: number, tell: Tell): void {
  const dimensions = view.getInt32(at);
  if (dimensions === 0) return;
  if (dimensions > 1 || view.getInt32(at + 16) !== 1) throw new ValueRefused(NESTED);
  const size = view.getInt32(at + 12);
  let next = at + 20;
  for (let element = 0; element < size; element++) {
    const length = view.getInt32(next);
    tell(next + 4, length);
    next += 4 + Math.max(length, 0);
  }
}

/** `{1,NULL,"a \"b\""}`. Backslashes are taken out where they stand. */
function walkText(delimiter: number) {
  return ({ bytes }: Batch, from: number, length: number, tell: Tell): void => {
    const last = from + length - 1;
    if (length < 2 || bytes[last] !== CLOSE) throw new ValueRefused('it is no array');
    if (bytes[from] !== OPEN) throw new ValueRefused(bytes[from] === 0x5b ? NESTED : 'it is no array');
    if (length === 2) return;
    for (let at = from + 1; at <= last; at++) {
      if (bytes[at] === OPEN) throw new ValueRefused(NESTED);
      at = bytes[at] === QUOTE ? quoted(bytes, at + 1, last, tell) : plain(bytes, at, last, delimiter, tell);
      if (at !== last && bytes[at] !== delimiter) throw new ValueRefused('it is no array');
    }
  };
}

/** Answers where the element ends, behind its quotes. */
function quoted(bytes: Uint8Array, start: number, last: number, tell: Tell): number {
  let put = start;
  let at = start;
  for (; at < last && bytes[at] !== QUOTE; at++) {
    if (bytes[at] === BACKSLASH) at++;
    bytes[put++] = bytes[at]!;
  }
  tell(start, put - start);
  return at + 1;
}

function plain(bytes: Uint8Array, start: number, last: number, delimiter: number, tell: Tell): number {
  let at = start;
  while (at < last && bytes[at] !== delimiter) at++;
  const isNull = at - start === 4 && /^null$/i.test(Buffer.from(bytes.subarray(start, at)).toString('latin1'));
  tell(start, isNull ? -1 : at - start);
  return at;
}
