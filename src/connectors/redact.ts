/** Stands for what is nobody's to read. */
const REDACTED = '[secret]';

/** What is shorter is no secret, and putting it out of a text would leave little of that: `FROM` is a line of many queries. */
const LEAST_SECRET = 4;
const LEAST_LINE_OF_QUERY = 12;

/** Lines of a query that are looked for, its first: a pattern has its limits. */
const MOST_LINES = 1_000;

/** Characters of what is longer that stand for it: whatever follows them goes too, since a line may have been cut. */
const LONGEST_FORM = 200;

/**
 * Puts out of what programs print: secrets, as they are and as they stand in a URL or in JSON, line by line where they have more than
 * one; the query, which may hold values of keys; and whatever looks like the user and password of a URL.
 */
export function redactor(secrets: readonly string[], query = ''): (text: string) => string {
  const forms = [
    ...secrets.flatMap((secret) => formsOf(secret)).filter(({ length }) => length >= LEAST_SECRET),
    ...formsOf(query, MOST_LINES).filter(({ length }) => length >= LEAST_LINE_OF_QUERY),
  ];
  if (forms.length === 0) return withoutLogins;
  // In one pass: what stands for a secret may hold another one.
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length);
  const known = new RegExp(longestFirst.map(patternOf).join('|'), 'g');
  return (text) => withoutLogins(text.replace(known, REDACTED));
}

function patternOf(form: string): string {
  return form.length <= LONGEST_FORM ? literally(form) : `${literally(form.slice(0, LONGEST_FORM))}.*`;
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function formsOf(secret: string, most = Infinity): string[] {
  const lines = secret
    .split(/[\r\n]+/)
    .slice(0, most)
    .map((line) => line.trim());
  return lines.flatMap((line) => [
    line,
    encodeURIComponent(Buffer.from(line).toString()),
    JSON.stringify(line).slice(1, -1),
  ]);
}

/** A password may hold any character but a space: all goes that stands before the last @ of the word. */
function withoutLogins(text: string): string {
  return text.replace(/\S+/g, (word) => {
    const scheme = word.indexOf('://');
    const at = word.lastIndexOf('@');
    return scheme > 0 && at > scheme ? `${word.slice(0, scheme + 3)}${REDACTED}${word.slice(at)}` : word;
  });
}
