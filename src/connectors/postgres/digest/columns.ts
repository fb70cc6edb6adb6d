import { LonghaulError } from '../../../core/errors.js';
import type { ColumnShape, TableRecord } from '../../../core/model.js';
import { shortHash } from '../../hash.js';
import type { DigestForm } from '../../digester.js';
import { typeOf } from '../formats.js';
import { quoteIdent } from '../sql.js';
import type { TypeNode } from '../types.js';

/** Raised when rows would be hashed to other digests than before: stored ones are then not compared with new ones. */
const DIGEST_VERSION = 1;

/**
 * Built-in types hashed by their binary image, which depends on no setting, is in UTF-8 in every database, and is the same whether the value was copied in binary or text.
 * Everything else is hashed by what it prints: floating point because a NaN's bits may change on the way, user types because
 * their images hold numbers (OIDs) of their own database.
 */
const BY_IMAGE = new Set([
  ...['bool', 'int2', 'int4', 'int8', 'oid', 'numeric', 'text', 'varchar', 'bpchar', 'name', 'char', 'bytea', 'uuid'],
  ...['date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'jsonb', 'bit', 'varbit'],
  ...['inet', 'cidr', 'macaddr', 'macaddr8'],
]);

function hasImage(node: TypeNode): boolean {
  if ('array' in node) return hasImage(node.array);
  return 'builtin' in node && BY_IMAGE.has(node.builtin);
}

/** Made of built-in types alone, so that its name means the same in every database. */
function isBuiltin(node: TypeNode): boolean {
  return 'array' in node ? isBuiltin(node.array) : 'builtin' in node;
}

/** What a digest says of itself: 8 hex characters for the columns and types as which rows were hashed. */
export function formName(form: DigestForm): string {
  const columns = form.map((column) => JSON.stringify([column.name, typeOf(column).printed]));
  return shortHash(DIGEST_VERSION, ...columns).slice(0, 8);
}

/** The destination's own columns as they are hashed, one expression for each. */
export function targetExpressions(form: DigestForm): string[] {
  return form.map((column) => hashed(based(column), column));
}

/** The source's columns converted to the destination's types, then hashed as those are. */
export function sourceExpressions(record: TableRecord, form: DigestForm): string[] {
  const columns = new Map(record.shape.columns.map((column) => [column.name, column]));
  return form.map((target) => {
    const source = columns.get(target.name);
    if (source === undefined) throw unknownColumn(record, target.name);
    return hashed(converted(source, target), target);
  });
}

function unknownColumn({ spec }: TableRecord, name: string): LonghaulError {
  return new LonghaulError('SourceChanged', `Table ${spec.table} was planned without a column "${name}".`);
}

/** A value of the target's type as it enters the hash. */
function hashed(expression: string, target: ColumnShape): string {
  return hasImage(typeOf(target).node) ? expression : printedForm(expression);
}

/** A domain's values as those of its base, whose number is the same in every database. */
function based(column: ColumnShape): string {
  const { node, printed } = typeOf(column);
  const name = quoteIdent(column.name);
  return column.type === printed || !isBuiltin(node) ? name : `${name}::${printed}`;
}

/**
 * A source's column as a value of the target's type, by the way it takes when it is copied: printed and read again, but for the
 * casts that are known to do the same. For a target of a user's type it stays as it is: what both print is compared.
 */
function converted(source: ColumnShape, target: ColumnShape): string {
  const [from, to] = [typeOf(source), typeOf(target)];
  const name = quoteIdent(source.name);
  if (!isBuiltin(to.node)) return name;
  const same = JSON.stringify(from.node) === JSON.stringify(to.node);
  if (same && from.printed === to.printed) return based(source);
  if (same || castsAlike(from.node, to.node)) return `${name}::${to.printed}`;
  return `${printedForm(name)}::${to.printed}`;
}

const ALIKE: Readonly<Record<string, readonly string[]>> = {
  int2: ['int4', 'int8'],
  int4: ['int8'],
  varchar: ['text', 'varchar'],
  text: ['varchar'],
};

function castsAlike(from: TypeNode, to: TypeNode): boolean {
  return 'builtin' in from && 'builtin' in to && (ALIKE[from.builtin]?.includes(to.builtin) ?? false);
}

/**
 * What the type's output function prints, as COPY does; a cast to text would not: it trims char(n), writes booleans out, adds
 * masks to addresses, and may be a user's own function. Nothing but NULL is NULL: not even a row of NULLs.
 */
function printedForm(expression: string): string {
  return `CASE WHEN ${expression} IS DISTINCT FROM NULL THEN concat(${expression}) END`;
}

/** The printed values of columns as one JSON array, for people. */
export function keyText(names: readonly string[]): string {
  return `json_build_array(${names.map((name) => printedForm(quoteIdent(name))).join(', ')})::text`;
}
