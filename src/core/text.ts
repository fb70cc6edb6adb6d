/** Cuts a text to at most `limit` bytes of UTF-8, at a whole character, and says so with an ellipsis. */
export function bounded(text: string, limit: number): string {
  if (utf8Length(text) <= limit) return text;
  let used = 0;
  let kept = '';
  for (const character of text) {
    used += utf8Length(character);
    if (used > limit - 3) break;
    kept += character;
  }
  return `${kept}…`;
}

/** As `bounded`, but what is cut out is in the middle: of an error that repeats what a program said, its last words tell most. */
export function boundedAmid(text: string, limit: number): string {
  if (utf8Length(text) <= limit) return text;
  const begin = Math.floor(limit / 3);
  const backwards = Array.from(text).reverse().join('');
  const end = Array.from(bounded(backwards, limit - begin))
    .slice(0, -1)
    .reverse()
    .join('');
  return `${bounded(text, begin)} ${end.trimStart()}`;
}

/** Bytes of a text in UTF-8; a lone surrogate counts as the three bytes it becomes. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** As many whole lines as fit into `limit` bytes, then a line that says how many more there are. */
export function boundedLines(lines: readonly string[], limit: number): string {
  const kept: string[] = [];
  let used = 0;
  for (const line of lines) {
    used += utf8Length(line) + 1;
    if (used > limit - 40) break;
    kept.push(line);
  }
  if (kept.length === 0 && lines.length > 0) kept.push(bounded(lines[0]!, limit - 40));
  const more = lines.length - kept.length;
  return [...kept, ...(more > 0 ? [`… and ${more} more`] : [])].join('\n');
}

/** `1 partition`, `2 partitions`; irregular plurals are given. */
export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : nouns}`;
}

const SPANS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

/** Milliseconds in the largest unit that divides them: `12 hours`, `90 minutes`. */
export function spanText(milliseconds: number): string {
  const [noun, unit] = SPANS.find((span) => milliseconds >= span[1] && milliseconds % span[1] === 0) ?? ['ms', 1];
  return unit === 1 ? `${milliseconds} ms` : counted(milliseconds / unit, noun);
}

/** As the rest of a line that something else begins. */
export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A string of an unvalidated job file, which may be anything. Undefined: there is none under this key, or an empty one. */
export function textOf(input: unknown, key: string): string | undefined {
  const value = typeof input === 'object' && input !== null ? (input as Record<string, unknown>)[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}
