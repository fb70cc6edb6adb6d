/** Bytes that a value takes, roughly; or what is wrong with it, as the end of `column "at" holds …`. */
export function measure(value: unknown): number | string {
  switch (typeof value) {
    case 'string':
      return value.length;
    case 'number':
    case 'bigint':
    case 'boolean':
      return 8;
    case 'object':
      return value === null ? 1 : measureObject(value);
    case 'undefined':
      return 'undefined, and NULL is written null';
    default:
      return `a ${typeof value}`;
  }
}

function measureObject(value: object): number | string {
  if (value instanceof Uint8Array) return value.byteLength;
  if (Array.isArray(value)) return measureAll(value);
  if (value instanceof Date) return 'a Date, which is exact to the millisecond only: give a text in ISO style';
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null;
  if (prototype === null || prototype === Object.prototype) return measureAll(Object.values(value));
  return `an object of class ${prototype.constructor?.name ?? '?'}: give a text, bytes, a list or a plain object`;
}

function measureAll(values: readonly unknown[]): number | string {
  let sum = 2;
  for (const value of values) {
    const size = measure(value);
    if (typeof size === 'string') return size;
    sum += size;
  }
  return sum;
}
