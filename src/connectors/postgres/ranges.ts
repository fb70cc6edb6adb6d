import type { KeyColumn } from './partition-key.js';
import { quoteIdent } from './sql.js';

/** One place where a table is cut: a constant of SQL for each column of the key. */
export type Bound = readonly string[];

/** How the rows of one relation are dealt out by a key. */
export interface Cut {
  readonly columns: readonly KeyColumn[];
  /** In the order of the server and of the columns' collations, each once; as many constants each as there are columns. */
  readonly bounds: readonly Bound[];
}

export const UNCUT: Cut = { columns: [], bounds: [] };

/** How many partitions `rangesOf` has. */
export function rangesIn({ columns, bounds }: Cut): number {
  return bounds.length === 0 ? 1 : bounds.length + 1 + columns.filter(({ notNull }) => !notNull).length;
}

/**
 * Conditions of which every row fulfills exactly one: half-open ranges, open below and above, then one for each column that may be NULL. A
 * comparison of rows ends at the first column that differs, so that a NULL behind it may lie in a range or in none: a row with a NULL
 * belongs to its first NULL column instead, and every range asks for the others.
 */
export function* rangesOf({ columns, bounds }: Cut): Iterable<string> {
  if (bounds.length === 0) {
    yield 'TRUE';
    return;
  }
  // The first column's NULLs are in no range anyway: its comparison is never true.
  const known = columns.filter(({ notNull }, i) => i > 0 && !notNull).map((column) => isNull(column, false));
  const all = (...conditions: readonly string[]) => [...conditions, ...known].join(' AND ');
  yield all(compare(columns, '<', bounds[0]!));
  for (let i = 1; i < bounds.length; i++) {
    yield all(compare(columns, '>=', bounds[i - 1]!), compare(columns, '<', bounds[i]!));
  }
  yield all(compare(columns, '>=', bounds.at(-1)!));
  const nullable = columns.filter(({ notNull }) => !notNull);
  for (const [i, column] of nullable.entries()) {
    yield [...nullable.slice(0, i).map((before) => isNull(before, false)), isNull(column, true)].join(' AND ');
  }
}

/** IS NULL is also true of a composite value whose fields are all NULL, which has its place in the order; this is not. */
function isNull({ name }: KeyColumn, yes: boolean): string {
  return `${quoteIdent(name)} IS ${yes ? 'NOT ' : ''}DISTINCT FROM NULL`;
}

type Operator = '<' | '>=';

function compare(columns: readonly KeyColumn[], operator: Operator, bound: Bound): string {
  const schemas = new Set(columns.map(({ operatorSchema }) => operatorSchema));
  if (columns.length === 1 || schemas.size > 1) return compareOneByOne(columns, operator, bound);
  const names = columns.map(({ name }) => quoteIdent(name)).join(', ');
  return `ROW(${names}) ${qualified(columns[0]!, operator)} ROW(${bound.join(', ')})`;
}

/**
 * One comparison of rows takes all its operators from one schema; where they come from several, it is written out. The first comparison
 * alone still bounds the search of an index.
 */
function compareOneByOne([first, ...rest]: readonly KeyColumn[], operator: Operator, bound: Bound): string {
  const against = (op: string) => `${quoteIdent(first!.name)} ${qualified(first!, op)} ${bound[0]!}`;
  if (rest.length === 0) return against(operator);
  const strictly = against(operator === '<' ? '<' : '>');
  const notBeyond = against(operator === '<' ? '<=' : '>=');
  return `(${notBeyond} AND (${strictly} OR ${compareOneByOne(rest, operator, bound.slice(1))}))`;
}

function qualified({ operatorSchema }: KeyColumn, operator: string): string {
  return `OPERATOR(${quoteIdent(operatorSchema)}.${operator})`;
}
