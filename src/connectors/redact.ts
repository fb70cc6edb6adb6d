/** Stands for what is nobody's to read. */
const REDACTED = '[secret]';

/** What is shorter is no secret, and putting it out of a text would leave little of that: `FROM` is a line of many queries. */
const LEAST_SECRET = 4;
const LEAST_LINE_OF_QUERY = 12;

/**
 * Puts out of what programs print: secrets, as they are and as they stand in a URL or in JSON, line by line where they have more than
 * one; the query, which may hold values of keys; and whatever looks like the user and password of a URL.
 */
export function redactor(secrets: readonly string[], query = ''): (text: string) => string {
  const forms = [
    ...secrets.flatMap(formsOf).filter(({ length }) => length >= LEAST_SECRET),
    ...formsOf(query).filter(({ length }) => length >= LEAST_LINE_OF_QUERY),
  ];
  if (forms.length === 0) return withoutLogins;
  // In one pass: what stands for a secret may hold another one.
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length);
  const known = new RegExp(longestFirst.map(literally).join('|'), 'g');
  return (text) => withoutLogins(text.replace(known, REDACTED));
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function formsOf(secret: string): string[] {
  const lines = secret.split(/[\r\n]+/).map((line) => line.trim());
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
