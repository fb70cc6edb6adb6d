/**
 * How people write the names of tables, in job files, in plans and in the ledger: `schema.table`, or `table` for one in `public`.
 * Names are exact, never folded to lower case. Double quotes, doubled inside, are only needed around a part with a dot, a quote,
 * white space, a star or a brace in it: outside of quotes a star is a pattern's, and braces are a template's.
 */
export interface WrittenName {
  readonly schema: WrittenPart;
  readonly table: WrittenPart;
}

export interface WrittenPart {
  /** Without its quotes. */
  readonly name: string;
  readonly quoted: boolean;
}

const PART = String.raw`"(?:[^"]|"")+"|[^".\s{}]+`;
const NAME = new RegExp(`^(?:(${PART})\\.)?(${PART})$`);

/** Undefined for a text that is no table's name. White space around it doesn't matter. */
export function parseWrittenName(text: string): WrittenName | undefined {
  const match = NAME.exec(text.trim());
  if (match === null) return undefined;
  return { schema: partOf(match[1] ?? 'public'), table: partOf(match[2]!) };
}

function partOf(text: string): WrittenPart {
  if (!text.startsWith('"')) return { name: text, quoted: false };
  return { name: text.slice(1, -1).replaceAll('""', '"'), quoted: true };
}

/** An exact name as a part, quoted only where it must be, so that two spellings of one name become one. */
export function writePart(name: string): string {
  return /^[^\s".*{}]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
