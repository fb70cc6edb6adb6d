/**
 * `:name` in a statement of the user's, as psql and most drivers write it. What stands in a literal, a quoted name, a comment or a
 * dollar quote is none, nor is a cast (`::date`) or a slice of an array (`a[1:2]`). Pure: a check reads the names, a connector the text.
 */

/** What `onCommitted` may name of a committed query. */
export const TOLD_NAMES = ['query_id', 'table_name', 'rows'] as const;

/** What can be told apart at a place of a statement; the first that fits. A literal or comment that is never closed goes to the end. */
const TOKENS: readonly RegExp[] = [
  /--[^\n]*/y,
  /[eE]'(?:[^'\\]|\\[^]|'')*(?:'|$)/y,
  /'(?:[^']|'')*(?:'|$)/y,
  /"(?:[^"]|"")*(?:"|$)/y,
  /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?(?:\$\1\$|$)/y,
  // A word as a whole: what follows in it is no beginning of a literal, a dollar quote or a name.
  /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y,
  /::/y,
];
const NAME = /:([A-Za-z_]\w*)/y;

/** A piece of the text as it stands, or a parameter. */
type Piece = { readonly text: string } | { readonly name: string };

/** The names that a statement uses, each once, in the order of their first use. */
export function namesIn(sql: string): string[] {
  return [...new Set(pieces(sql).flatMap((piece) => ('name' in piece ? [piece.name] : [])))];
}

/** The statement with $1, $2 … in the place of its names; `names` are in that order. */
export function numbered(sql: string): { readonly text: string; readonly names: readonly string[] } {
  const names = namesIn(sql);
  const written = pieces(sql).map((piece) => ('name' in piece ? `$${names.indexOf(piece.name) + 1}` : piece.text));
  return { text: written.join(''), names };
}

function pieces(sql: string): Piece[] {
  const found: Piece[] = [];
  let plain = 0;
  for (let at = 0; at < sql.length;) {
    const name = matchAt(NAME, sql, at);
    if (name !== undefined) {
      found.push({ text: sql.slice(plain, at) }, { name: name[1]! });
      plain = at + name[0].length;
    }
    at += name?.[0].length ?? lengthAt(sql, at);
  }
  return [...found, { text: sql.slice(plain) }];
}

/** Of what begins at this place and holds no parameter; at least one character. */
function lengthAt(sql: string, at: number): number {
  if (sql.startsWith('/*', at)) return commentLength(sql, at);
  for (const token of TOKENS) {
    const found = matchAt(token, sql, at);
    if (found !== undefined && found[0].length > 0) return found[0].length;
  }
  return 1;
}

/** Comments nest. */
function commentLength(sql: string, at: number): number {
  const border = /\/\*|\*\//g;
  border.lastIndex = at;
  let depth = 0;
  for (let found = border.exec(sql); found !== null; found = border.exec(sql)) {
    depth += found[0] === '/*' ? 1 : -1;
    if (depth === 0) return border.lastIndex - at;
  }
  return sql.length - at;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}
