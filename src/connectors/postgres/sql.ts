import { LonghaulError } from '../../core/errors.js';

/** A relation by the names that stand in the catalog: exact, never folded to lower case. */
export interface Relation {
  readonly schema: string;
  readonly name: string;
}

export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string constant that means the same whatever standard_conforming_strings is. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** `"schema"."table"`, for a statement. */
export function quoteRelation({ schema, name }: Relation): string {
  return `${quoteIdent(schema)}.${quoteIdent(name)}`;
}

/** Names joined for a statement: `"a", "b"`. */
export function quoteColumns(names: readonly string[]): string {
  return names.map(quoteIdent).join(', ');
}

const PART = /^(?:"((?:[^"]|"")+)"|([^".]+))(?:\.|$)/;

interface Part {
  readonly name: string;
  readonly quoted: boolean;
}

/**
 * Reads `schema.table`, or `table` for one in `public`. Names are exact; double quotes are only needed around a name with a
 * dot or a quote in it. Undefined for anything else.
 */
export function parseRelation(text: string): Relation | undefined {
  const parts = parseParts(text);
  return parts && { schema: parts.schema.name, name: parts.table.name };
}

/** Reads `sales.*`: stars outside of quotes stand for anything. The answer's parts are patterns of LIKE. */
export function parsePattern(text: string): Relation | undefined {
  const parts = parseParts(text);
  return parts && { schema: likePattern(parts.schema), name: likePattern(parts.table) };
}

function parseParts(text: string): { schema: Part; table: Part } | undefined {
  const parts: Part[] = [];
  let rest = text.trim();
  if (rest.endsWith('.')) return undefined;
  while (rest !== '') {
    const match = PART.exec(rest);
    if (!match) return undefined;
    parts.push({ name: match[1]?.replaceAll('""', '"') ?? match[2]!, quoted: match[1] !== undefined });
    rest = rest.slice(match[0].length);
  }
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) return undefined;
  return second === undefined ? { schema: PUBLIC, table: first } : { schema: first, table: second };
}

const PUBLIC: Part = { name: 'public', quoted: true };

function likePattern({ name, quoted }: Part): string {
  const escaped = name.replace(/[\\%_]/g, '\\$&');
  return quoted ? escaped : escaped.replaceAll('*', '%');
}

/** As `parseRelation`; throws StatementInvalid for a text that is no table's name. */
export function requireRelation(text: string): Relation {
  const relation = parseRelation(text);
  if (relation) return relation;
  throw new LonghaulError('StatementInvalid', `"${text}" is not the name of a table.`, {
    next: 'Write it as schema.table.',
  });
}

/** What a person reads and `parseRelation` reads back. */
export function formatRelation({ schema, name }: Relation): string {
  return `${formatPart(schema)}.${formatPart(name)}`;
}

function formatPart(name: string): string {
  return /^[^\s".*{}]+$/.test(name) ? name : quoteIdent(name);
}
