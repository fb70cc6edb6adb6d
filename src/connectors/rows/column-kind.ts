import type { ColumnShape } from '../../core/model.js';

/** What a structured value becomes in a column: its JSON text, a list, or neither. */
export interface ColumnKind {
  /** The type without dimensions, in lower case. */
  readonly element: string;
  readonly json: boolean;
  /** How many dimensions doesn't matter: a list may be one of lists. */
  readonly array: boolean;
}

const DIMENSIONS = /(\[\d*\])+$/;

/** By the type as Postgres prints it: `jsonb`, `integer[]`, `json[]`. */
export function columnKind({ type }: Pick<ColumnShape, 'type'>): ColumnKind {
  const printed = type.toLowerCase().trim();
  const element = printed.replace(DIMENSIONS, '');
  return { element, json: element === 'json' || element === 'jsonb', array: element !== printed };
}
