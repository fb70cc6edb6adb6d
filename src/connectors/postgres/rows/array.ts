import type { Value } from '../../types.js';
import { wrongKind } from './refusal.js';
import type { ToText } from './to-text.js';

interface ArrayType {
  readonly element: ToText;
  /** `;` between boxes, which have commas themselves. */
  readonly separator: string;
  /** Lists within are values of JSON, and not further dimensions. */
  readonly isJson: boolean;
  /** As printed. */
  readonly type: string;
}

/** Lists as Postgres writes arrays, nested ones as their dimensions. A text is an array written so already. */
export function arrayText(array: ArrayType): ToText {
  return (value) => {
    if (typeof value === 'string') return checked(value, array);
    if (Array.isArray(value)) return literal(value as readonly Value[], array);
    throw wrongKind(value, array.type);
  };
}

function literal(values: readonly Value[], array: ArrayType): string {
  const nested = (value: Value) => Array.isArray(value) && !array.isJson;
  const parts = values.map((value) => {
    if (value === null) return 'NULL';
    return nested(value) ? literal(value as readonly Value[], array) : quoted(array.element(value));
  });
  return `{${parts.join(array.separator)}}`;
}

/** Always in quotes where anything could be meant otherwise: spaces, NULL, braces, the empty text. */
function quoted(text: string): string {
  if (/^[\w.:+-]+$/.test(text) && text.toUpperCase() !== 'NULL') return text;
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Its elements are written as they would be alone, as far as they have no braces, commas or quotes in them. */
function checked(text: string, { element }: ArrayType): string {
  for (const part of text.split(/[{},;"]+/)) if (part !== '' && part !== 'NULL') element(part);
  return text;
}
