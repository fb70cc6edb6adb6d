import type { ColumnShape } from '../../core/model.js';

/** What a structured value becomes in a column: its JSON text, a list, or neither. */
export interface ColumnKind {
  readonly json: boolean;
  /** Dimensions don't matter: a list may be one of lists. */
  readonly array: boolean;
}

const ARRAY = /(\[\d*\])+$/;

/** By the type as Postgres prints it: `jsonb`, `integer[]`, `json[]`. */
export function columnKind({ type }: Pick<ColumnShape, 'type'>): ColumnKind {
  const printed = type.toLowerCase().trim();
  return { json: /^jsonb?$/.test(printed.replace(ARRAY, '')), array: ARRAY.test(printed) };
}
