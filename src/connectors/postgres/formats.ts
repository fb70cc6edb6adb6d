import type { ColumnShape } from '../../core/model.js';
import { problem, warning } from '../findings.js';
import type { Finding, Format } from '../types.js';
import { carriesUserOids, hasBinary, parseDefinition, type TypeNode } from './types.js';

/** The forms in which a source can send these columns, the better first. The destination may have to take the lesser. */
export function copyFormats(columns: readonly ColumnShape[]): Format[] {
  const binary = columns.every(({ definition }) => hasBinary(parseDefinition(definition)));
  return binary ? ['postgres.copy.binary', 'postgres.copy.text'] : ['postgres.copy.text'];
}

/** Whether a destination must be of version 14 or newer to take these columns in binary. */
export function binaryNeeds14(columns: readonly ColumnShape[]): boolean {
  return columns.some(({ definition }) => carriesUserOids(parseDefinition(definition)));
}

export interface Comparison {
  /** The best form in which every column arrives as it was. Means nothing when a finding is a problem. */
  readonly format: 'binary' | 'text';
  readonly findings: Finding[];
}

/**
 * Whether the source's columns, all of which are copied, fit into a target that exists, by name. A difference of types is
 * allowed only where no value can be lost or changed; everything else, and everything unknown, is a problem.
 */
export function compareColumns(source: readonly ColumnShape[], target: readonly ColumnShape[]): Comparison {
  const targets = new Map(target.map((column) => [column.name, column]));
  const compared = source.map((column) => comparePair(column, targets.get(column.name)));
  return {
    format: compared.every(({ fit }) => fit === 'binary') ? 'binary' : 'text',
    findings: [...compared.flatMap(({ findings }) => findings), ...unfilled(source, target)],
  };
}

type Fit = 'binary' | 'text' | undefined;

function comparePair(source: ColumnShape, target: ColumnShape | undefined): { fit: Fit; findings: Finding[] } {
  const column = `column "${source.name}"`;
  if (target === undefined) {
    return {
      fit: undefined,
      findings: [problem('', `${column} is not in the target`, 'exclude it, or add it to the target')],
    };
  }
  if (target.generated) {
    return { fit: undefined, findings: [problem('', `${column} is generated in the target`, 'exclude it')] };
  }
  const fit = fitOf(typeOf(source), typeOf(target));
  const findings = fit === undefined ? [misfit(column, source, target)] : [];
  if (target.notNull && !source.notNull) findings.push(mayBeNull(column));
  return { fit, findings };
}

function misfit(column: string, source: ColumnShape, target: ColumnShape): Finding {
  const message = `${column}: ${source.type} of the source may not fit unchanged into ${target.type} of the target`;
  return problem('', message, 'change the target, exclude the column, or convert it in a query of your own');
}

function mayBeNull(column: string): Finding {
  return warning(
    '',
    `${column} may be NULL in the source and is NOT NULL in the target: a NULL would fail its partition`,
  );
}

/** Columns of the target that get no value from the source. */
function unfilled(source: readonly ColumnShape[], target: readonly ColumnShape[]): Finding[] {
  const names = new Set(source.map(({ name }) => name));
  return target
    .filter(({ name, generated, identity }) => !names.has(name) && !generated && identity === undefined)
    .map(({ name, notNull, default: value }) =>
      notNull && value === undefined
        ? problem(
            '',
            `column "${name}" of the target is NOT NULL, without a default, and not copied`,
            'give it a default',
          )
        : warning(
            '',
            `column "${name}" of the target is not copied: it gets ${value === undefined ? 'NULL' : 'its default'}`,
          ),
    );
}

/** A type with its modifiers, of a column or of an array's elements. */
export interface ModifiedType {
  readonly node: TypeNode;
  /** The numbers in parentheses; undefined: without limit. */
  readonly modifiers: readonly number[] | undefined;
  /** The type as printed, for what the modifiers of other types mean. */
  readonly printed: string;
}

/** A domain's values are its base's values. */
export function typeOf({ type, definition }: ColumnShape): ModifiedType {
  let [node, printed] = [parseDefinition(definition), type];
  while ('domain' in node) [node, printed] = [node.domain, node.type];
  return { node, printed, modifiers: modifiersOf(printed) };
}

function modifiersOf(printed: string): number[] | undefined {
  return /\((-?\d+(?:,-?\d+)*)\)/.exec(printed)?.[1]?.split(',').map(Number);
}

/** How values of one type get into another without loss, if they do. */
function fitOf(source: ModifiedType, target: ModifiedType): Fit {
  if ('array' in source.node && 'array' in target.node) return fitOfArrays(source, target, source.node, target.node);
  if (JSON.stringify(source.node) === JSON.stringify(target.node)) return fitOfEqual(source, target);
  if (isText(target)) return isText(source) || hasLimit(source, ['varchar']) ? 'binary' : 'text';
  return fitOfOther(source, target) ? 'text' : undefined;
}

/** An array's image names its elements' type: other than equal elements go as text. */
function fitOfArrays(
  source: ModifiedType,
  target: ModifiedType,
  { array: from }: { array: TypeNode },
  { array: to }: { array: TypeNode },
): Fit {
  const fit = fitOf({ ...source, node: from }, { ...target, node: to });
  if (fit === undefined) return undefined;
  return JSON.stringify(from) === JSON.stringify(to) ? fit : 'text';
}

function fitOfEqual(source: ModifiedType, target: ModifiedType): Fit {
  if ('opaque' in source.node) return 'text';
  if (!sameModifiers(source, target) && !isWider(source, target)) return undefined;
  return hasBinary(source.node) ? 'binary' : 'text';
}

/** Names of user types, whose definitions are equal, may differ: only what stands in parentheses counts. */
function sameModifiers(source: ModifiedType, target: ModifiedType): boolean {
  if ('builtin' in source.node) return source.printed === target.printed;
  const inParentheses = ({ printed }: ModifiedType) => /\(.*\)/.exec(printed)?.[0];
  return inParentheses(source) === inParentheses(target);
}

/** `text`, or `varchar` without a limit: takes what any type prints, unchanged. */
function isText({ node, modifiers }: ModifiedType): boolean {
  return 'builtin' in node && (node.builtin === 'text' || (node.builtin === 'varchar' && modifiers === undefined));
}

function hasLimit({ node, modifiers }: ModifiedType, names: readonly string[]): boolean {
  return 'builtin' in node && names.includes(node.builtin) && modifiers !== undefined;
}

/** Types whose one modifier is the most that they hold. Not `char(n)` and `bit(n)`, which fill up or refuse. */
const LIMITED = new Set(['varchar', 'varbit', 'time', 'timetz', 'timestamp', 'timestamptz']);

/** Whether a type with other modifiers holds every value of the source's, which it would otherwise round, cut or refuse. */
function isWider(source: ModifiedType, target: ModifiedType): boolean {
  if (!('builtin' in source.node)) return false;
  if (source.node.builtin === 'numeric') return isWiderNumeric(source.modifiers, target.modifiers);
  if (source.node.builtin === 'interval') return target.printed === 'interval';
  if (!LIMITED.has(source.node.builtin)) return false;
  if (target.modifiers === undefined) return true;
  return source.modifiers !== undefined && target.modifiers[0]! >= source.modifiers[0]!;
}

/** [precision, scale]: as many digits on both sides of the point. */
function isWiderNumeric(source: readonly number[] | undefined, target: readonly number[] | undefined): boolean {
  if (target === undefined) return true;
  if (source === undefined) return false;
  const [p, s = 0] = source as [number, number?];
  const [toP, toS = 0] = target as [number, number?];
  return toS >= s && toP - toS >= p - s;
}

/** Decimal digits of the integer types. */
const DIGITS: Readonly<Record<string, number>> = { int2: 5, int4: 10, int8: 19, oid: 10 };

/** Types that hold every value of another, in the text form of both. */
const HOLDS: Readonly<Record<string, readonly string[]>> = {
  int2: ['int4', 'int8', 'float4', 'float8'],
  int4: ['int8', 'float8'],
  oid: ['int8'],
  date: ['timestamp'],
  cidr: ['inet'],
  jsonb: ['json'],
};

function fitOfOther(source: ModifiedType, target: ModifiedType): boolean {
  const [from, to] = [source.node, target.node];
  if ('enum' in from && 'enum' in to) return from.enum.every((label) => to.enum.includes(label));
  if ('extension' in from && 'extension' in to) {
    return from.extension === to.extension && from.type === to.type && source.printed === target.printed;
  }
  if ('extension' in to) return to.type === 'citext' && (isText(source) || hasLimit(source, ['varchar']));
  if (!('builtin' in from) || !('builtin' in to)) return false;
  if (to.builtin === 'numeric') return holdsInteger(from.builtin, target.modifiers);
  if (to.builtin === 'varchar') return hasLimit(source, ['bpchar']) && target.modifiers![0]! >= source.modifiers![0]!;
  // Dates are days: any precision of a timestamp does.
  return HOLDS[from.builtin]?.includes(to.builtin) ?? false;
}

function holdsInteger(type: string, numeric: readonly number[] | undefined): boolean {
  const digits = DIGITS[type];
  if (digits === undefined) return false;
  return numeric === undefined || numeric[0]! - (numeric[1] ?? 0) >= digits;
}
