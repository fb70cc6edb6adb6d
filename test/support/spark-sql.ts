/** Spark's statements, taken apart as text. */

export const NAME = '((?:`[^`]+`\\.){2}`[^`]+`)';
export const LITERAL = "'(?:[^'\\\\]|\\\\.)*'";

export function commentIn(clause: string | undefined): { comment?: string } {
  return clause === undefined ? {} : { comment: literals(clause)[0]! };
}

/** Spark's names, escapes and types, in DuckDB's. */
export function duck(sql: string): string {
  return sql
    .replace(new RegExp(` COMMENT ${LITERAL}`, 'gs'), '')
    .replaceAll('`', '"')
    .replaceAll("\\'", "''")
    .replace(/\bTIMESTAMP\b/g, 'TIMESTAMPTZ')
    .replace(/\bTIMESTAMP_NTZ\b/g, 'TIMESTAMP')
    .replace(/\bARRAY<(\w+)>/g, '$1[]');
}

export function keyOf(name: string): string {
  return name.replaceAll('`', '').toLowerCase();
}

export function literals(list: string): string[] {
  return [...list.matchAll(/'((?:[^'\\]|\\.)*)'/gs)].map(([, text]) => text!.replace(/\\(.)/gs, '$1'));
}

export function propertiesOf(list: string): Map<string, string> {
  const texts = literals(list);
  return new Map(texts.flatMap((text, at) => (at % 2 === 0 ? [[text, texts[at + 1]!] as const] : [])));
}

/** At commas outside of parentheses and quotes. */
export function splitTop(list: string): string[] {
  return (list.match(/(?:\([^()]*\)|'(?:[^'\\]|\\.)*'|`[^`]*`|<[^<>]*>|[^,])+/g) ?? []).map((part) => part.trim());
}
