import type { Value } from '../../types.js';

/** Why a value can't be written as its column's type: in words, and never with the value. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** Absent: it is about the row. */
  column?: string;

  constructor(readonly why: string) {
    super(why);
  }
}

/** A value of the wrong kind for its type. Dates come from programs whose types nobody has checked. */
export function wrongKind(value: unknown, type: string): Refusal {
  if (value instanceof Date)
    return new Refusal('a Date holds milliseconds only: give a text such as 2024-01-31 10:00:00.123456+00');
  if (value === undefined) return new Refusal('it has no value: give null for NULL');
  return new Refusal(`${kindOf(value as Value)} is no value of type ${type}`);
}

function kindOf(value: Value): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'a value of bytes';
  return typeof value === 'object' ? 'an object' : `a ${typeof value === 'string' ? 'text' : typeof value}`;
}
