import { z } from 'zod';
import { formatProblems, type Problem } from '../core/errors.js';
import { didYouMean } from '../core/suggest.js';

/**
 * From zod's issues to problems a person can act on. Schemas write their messages as `what is wrong — what would be right`.
 * No text here repeats a value of the file, apart from short plain words (a mistyped `replce`): values may be secrets.
 */

/** A problem whose path is still a list of keys, so that the place can be found again in the file. */
export interface Located {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly fix?: string;
  /** The key that is missing, or that an unknown key was probably meant to be: one of the two is enough to be said. */
  readonly missing?: true;
  readonly meant?: string;
}

/** What a connection of longhaul.yaml comes to. */
export interface Compiled<Connection> {
  /** Absent when there are problems. */
  readonly connection?: Connection;
  readonly problems: readonly Located[];
  readonly warnings: readonly Located[];
}

/** A file of the worker's configuration that can't be used. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(
    readonly file: string,
    readonly problems: readonly Problem[],
  ) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super(`${file} has ${count}.\n${formatProblems(problems)}`);
  }
}

/** As `z.strictObject`, but unknown keys are answered with the known ones. */
export function strict<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(' ');
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined) });
}

export function located(path: readonly PropertyKey[], message: string, fix?: string): Located {
  return fix === undefined ? { path, message } : { path, message, fix };
}

/** The same problem, its path being relative to this one. */
export function below(path: readonly PropertyKey[], problem: Located): Located {
  return { ...problem, path: [...path, ...problem.path] };
}

export function toProblem({ path, message, fix }: Located): Problem {
  return { path: pathText(path), message, ...(fix === undefined ? {} : { fix }) };
}

/** `tables[2].partition.size`; keys that aren't plain words are quoted, and cut when they look like an address. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map(segment).join('').replace(/^\./, '');
}

function segment(key: PropertyKey): string {
  if (typeof key === 'number') return `[${key}]`;
  const text = String(key);
  if (/^[\w-]{1,64}$/.test(text)) return `.${text}`;
  return /^[\w .$-]{1,64}$/.test(text) ? `["${text}"]` : '["…"]';
}

/** The problems in the order of the file; what is missing from it comes last in its place. */
export function inFileOrder(problems: readonly Located[], file: unknown): Located[] {
  const placed = problems.map((problem) => ({ problem, place: placeOf(problem.path, file) }));
  return placed.sort((a, b) => comparePlaces(a.place, b.place)).map(({ problem }) => problem);
}

function placeOf(path: readonly PropertyKey[], file: unknown): number[] {
  let node = file;
  return path.map((key) => {
    if (typeof node !== 'object' || node === null) return Infinity;
    const index = Object.keys(node).indexOf(String(key));
    node = (node as Record<PropertyKey, unknown>)[key];
    return index < 0 ? Infinity : index;
  });
}

function comparePlaces(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((place, depth) => place !== b[depth]);
  if (index < 0) return a.length - b.length;
  const [left, right] = [a[index]!, b[index] ?? -1];
  return left < right ? -1 : 1;
}

/** Without the value that a message may begin with. */
export function withoutValue(problem: Located): Located {
  return { ...problem, message: problem.message.replace(/^("[^"]*"|-?[\d.e+-]+) (?=is not )/, '') };
}

/** All problems of one value against one schema, in the order of the file as far as zod keeps it. */
export function schemaProblems(schema: z.ZodType, value: unknown): Located[] {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return [];
  const found = result.error.issues.flatMap((issue) => fromIssue(issue, []));
  const meant = new Set(
    found.filter((each) => each.meant !== undefined).map(({ path, meant }) => meantPath(path, meant!)),
  );
  return found.filter(({ missing, path }) => missing === undefined || !meant.has(pathText(path)));
}

function meantPath(path: readonly PropertyKey[], meant: string): string {
  return pathText([...path.slice(0, -1), meant]);
}

function fromIssue(issue: z.core.$ZodIssue, base: readonly PropertyKey[]): Located[] {
  const path = [...base, ...issue.path];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key], key, issue.message.split(' ')));
    case 'invalid_union':
      return fromUnion(issue, path);
    case 'invalid_value':
      return [notOneOf(path, issue.input, issue.values.map(String))];
    case 'invalid_key':
      return [fromText(path, issue.issues[0]?.message ?? issue.message)];
    case 'invalid_type':
      return [wrongType(path, issue)];
    case 'too_small':
    case 'too_big':
      return [outOfBounds(path, issue)];
    default:
      return [fromText(path, issue.message)];
  }
}

function unknownKey(path: readonly PropertyKey[], key: string, known: readonly string[]): Located {
  const meant = didYouMean(key, known);
  if (meant === undefined) return located(path, 'unknown key', `the keys here are ${known.join(', ')}`);
  return { path, message: 'unknown key', fix: `did you mean "${meant}"?`, meant };
}

/** A union is answered for the member whose kind of value was written. */
function fromUnion(issue: z.core.$ZodIssueInvalidUnion, path: readonly PropertyKey[]): Located[] {
  if (issue.discriminator !== undefined) return [wrongDiscriminator(issue, path)];
  if (issue.message !== 'Invalid input') return [missingOr(path, issue.input, issue.message)];
  const member = issue.errors.find((errors) => !errors.some((each) => each.path.length === 0 && isWrongType(each)));
  if (member !== undefined) return member.flatMap((each) => fromIssue(each, path));
  const kinds = issue.errors.flatMap((errors) => errors.filter(isWrongType).map(({ expected }) => kindName(expected)));
  return [missingOr(path, issue.input, `is ${kindOf(issue.input)} — write ${kinds.join(' or ')}`)];
}

function isWrongType(issue: z.core.$ZodIssue): issue is z.core.$ZodIssueInvalidType {
  return issue.code === 'invalid_type';
}

function wrongDiscriminator(issue: z.core.$ZodIssueInvalidUnion, path: readonly PropertyKey[]): Located {
  const options = ('options' in issue ? (issue.options ?? []) : []).map(String);
  const input = (issue.input as Record<string, unknown>)[issue.discriminator!];
  return notOneOf(path, input, options);
}

function notOneOf(path: readonly PropertyKey[], input: unknown, values: readonly string[]): Located {
  const list = values.length === 1 ? values[0]! : `one of ${values.join(', ')}`;
  if (input === undefined) return { path, message: 'is missing', fix: `write ${list}`, missing: true };
  const meant = typeof input === 'string' ? didYouMean(input, values) : undefined;
  const other = values.length === 1 ? `write ${list}` : 'write one of these';
  return located(path, `${shown(input)} is not ${list}`, meant === undefined ? other : `did you mean "${meant}"?`);
}

function wrongType(path: readonly PropertyKey[], issue: z.core.$ZodIssueInvalidType): Located {
  if (!issue.message.startsWith('Invalid input')) return missingOr(path, issue.input, issue.message);
  return missingOr(path, issue.input, `is ${kindOf(issue.input)} — write ${kindName(issue.expected)}`);
}

function missingOr(path: readonly PropertyKey[], input: unknown, text: string): Located {
  const { message, fix } = fromText(path, text);
  if (input === undefined) return { path, message: 'is missing', ...(fix === undefined ? {} : { fix }), missing: true };
  return located(path, input === null ? 'is empty' : message, fix);
}

function outOfBounds(path: readonly PropertyKey[], issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): Located {
  const small = issue.code === 'too_small';
  const { fix = 'write a text, or leave the key out' } = fromText(path, issue.message);
  if (issue.origin === 'string' && small) return located(path, 'is empty', fix);
  if (!issue.message.startsWith('Too ')) return fromText(path, issue.message);
  const bound = String(small ? issue.minimum : issue.maximum);
  const unit = issue.origin === 'array' ? ' entries' : issue.origin === 'string' ? ' characters' : '';
  return located(path, small ? `is less than ${bound}${unit}` : `is more than ${bound}${unit}`);
}

function fromText(path: readonly PropertyKey[], text: string): Located {
  const [message, ...fix] = text.split(' — ');
  return located(path, message!, fix.length === 0 ? undefined : fix.join(' — '));
}

/** A short plain word is repeated to the person who wrote it; anything else might be a secret or an address. */
export function shown(input: unknown): string {
  if (typeof input === 'number' || typeof input === 'boolean') return String(input);
  if (typeof input === 'string' && /^[\w.%+-]+( [\w.%+-]+)?$/.test(input) && input.length <= 20) return `"${input}"`;
  return kindOf(input);
}

export function kindOf(input: unknown): string {
  if (input === null) return 'empty';
  if (Array.isArray(input)) return 'a list';
  const names: Record<string, string> = {
    string: 'a text',
    number: 'a number',
    boolean: 'true or false',
    object: 'a set of keys',
    undefined: 'missing',
  };
  return names[typeof input] ?? `a ${typeof input}`;
}

function kindName(expected: string): string {
  const names: Record<string, string> = {
    string: 'a text (in quotes, where YAML would read a number)',
    int: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'keys and values',
    record: 'keys and values',
  };
  return names[expected] ?? expected;
}
