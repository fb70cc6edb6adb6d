import type { ColumnShape } from '../../../core/model.js';
import type { Value } from '../../types.js';
import { typeOf, type ModifiedType } from '../formats.js';
import { arrayText } from './array.js';
import { refuseOffset, refuseTimeOfDay, requireFloat4, requireFraction, requireLength, requireScale } from './exact.js';
import { jsonText } from './json.js';
import { decimalNumber, exactNumber, wholeNumber } from './number.js';
import { wrongKind } from './refusal.js';

/** A value that is not NULL as its type is written, not yet escaped. Throws Refusal. */
export type ToText = (value: NonNullable<Value>) => string;

/** How values are written for a column of the server's own. */
export function toTextOf(column: ColumnShape): ToText {
  return ofType(typeOf(column));
}

function ofType(type: ModifiedType): ToText {
  const { node, printed } = type;
  if ('array' in node) {
    const element = ofType({ ...type, node: node.array, printed: printed.replace(/(\[\])+$/, '') });
    const separator = 'builtin' in node.array && node.array.builtin === 'box' ? ';' : ',';
    return arrayText({ element, separator, isJson: isJson(node.array), type: printed });
  }
  if ('extension' in node && node.type === 'citext') return plainText(type);
  return ('builtin' in node && BUILTIN[node.builtin]?.(type)) || textOnly(type);
}

function isJson(node: ModifiedType['node']): boolean {
  return 'builtin' in node && (node.builtin === 'json' || node.builtin === 'jsonb');
}

const BUILTIN: Readonly<Record<string, (type: ModifiedType) => ToText>> = {
  ...each(['text', 'varchar', 'bpchar', 'name', 'char'], plainText),
  ...each(['int2', 'int4', 'int8', 'oid'], whole),
  ...each(['json', 'jsonb'], json),
  ...each(['timestamp', 'time'], (type) => moment(type, true)),
  ...each(['timestamptz', 'timetz', 'interval'], (type) => moment(type, false)),
  numeric,
  float4,
  float8,
  bool,
  bytea,
  date,
};

function each(
  names: readonly string[],
  how: (type: ModifiedType) => ToText,
): Record<string, (type: ModifiedType) => ToText> {
  return Object.fromEntries(names.map((name) => [name, how]));
}

/** Types that have a text and nothing else: uuid, inet, enumerations, ranges, composites, types of extensions. */
function textOnly({ printed }: ModifiedType): ToText {
  return (value) => {
    if (typeof value === 'string') return value;
    throw wrongKind(value, printed);
  };
}

function plainText({ node, modifiers, printed }: ModifiedType): ToText {
  const limit = 'builtin' in node && node.builtin === 'varchar' ? modifiers?.[0] : undefined;
  return (value) => {
    const text = typeof value === 'string' ? value : scalarText(value, printed);
    if (limit !== undefined) requireLength(text, limit, printed);
    return text;
  };
}

function scalarText(value: NonNullable<Value>, type: string): string {
  if (typeof value === 'number') return exactNumber(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  throw wrongKind(value, type);
}

function whole({ printed }: ModifiedType): ToText {
  return (value) => {
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return wholeNumber(value, printed);
    if (typeof value === 'bigint') return value.toString();
    throw wrongKind(value, printed);
  };
}

function numeric({ modifiers, printed }: ModifiedType): ToText {
  const scale = modifiers && (modifiers[1] ?? 0);
  return (value) => {
    const text = decimalText(value, printed);
    if (scale !== undefined) requireScale(text, scale, printed);
    return text;
  };
}

function decimalText(value: NonNullable<Value>, type: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return decimalNumber(value);
  if (typeof value === 'bigint') return value.toString();
  throw wrongKind(value, type);
}

function float8({ printed }: ModifiedType): ToText {
  return (value) => {
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
    if (typeof value === 'bigint') return exactNumber(Number(value));
    throw wrongKind(value, printed);
  };
}

function float4(type: ModifiedType): ToText {
  const text = float8(type);
  return (value) => {
    const written = text(value);
    requireFloat4(written);
    return written;
  };
}

function bool({ printed }: ModifiedType): ToText {
  return (value) => {
    if (typeof value === 'boolean') return value ? 't' : 'f';
    if (typeof value === 'string') return value;
    if (value === 0 || value === 0n) return 'f';
    if (value === 1 || value === 1n) return 't';
    throw wrongKind(value, printed);
  };
}

function bytea({ printed }: ModifiedType): ToText {
  return (value) => {
    if (value instanceof Uint8Array)
      return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
    if (typeof value === 'string') return value;
    throw wrongKind(value, printed);
  };
}

/** A text is JSON already: `"a"` is a string, `a` is nothing. */
function json({ printed }: ModifiedType): ToText {
  return (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Date) throw wrongKind(value, printed);
    return jsonText(value);
  };
}

function date(type: ModifiedType): ToText {
  const text = textOnly(type);
  return (value) => {
    const written = text(value);
    if (written.length > 10) refuseTimeOfDay(written);
    return written;
  };
}

/** Postgres keeps microseconds. */
const MOST_DIGITS = 6;

function moment(type: ModifiedType, withoutZone: boolean): ToText {
  const text = textOnly(type);
  const digits = type.modifiers?.[0] ?? MOST_DIGITS;
  return (value) => {
    const written = text(value);
    requireFraction(written, digits, type.printed);
    if (withoutZone) refuseOffset(written, type.printed);
    return written;
  };
}
