/** A record's fields, NULL for an empty one without quotes, or what is wrong with it. */
export type Fields = { readonly fields: readonly (string | null)[] } | { readonly error: string };

/** Cuts one record, without its line break, into fields. */
export function splitRecord(record: string, delimiter: string): Fields {
  if (!record.includes('"')) return { fields: record.split(delimiter).map((field) => (field === '' ? null : field)) };
  const fields: (string | null)[] = [];
  for (let at = 0; at <= record.length;) {
    const quoted = record[at] === '"';
    const end = quoted ? endOfQuoted(record, at) : endOf(record, delimiter, at);
    const field = record.slice(at, end);
    const error = quoted ? quotedError(record, end, delimiter) : field.includes('"') && 'has a quote in it';
    if (error !== false) return { error: `field ${fields.length + 1} ${error}` };
    fields.push(quoted ? field.slice(1, -1).replaceAll('""', '"') : field === '' ? null : field);
    at = end + 1;
  }
  return { fields };
}

function endOf(record: string, delimiter: string, from: number): number {
  const at = record.indexOf(delimiter, from);
  return at < 0 ? record.length : at;
}

/** Behind the closing quote of the field that begins at `start`; a pair of quotes within it is one. Quotes are even in a record. */
function endOfQuoted(record: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = record.indexOf('"', at);
    if (quote < 0) return record.length;
    if (record[quote + 1] !== '"') return quote + 1;
    at = quote + 2;
  }
}

function quotedError(record: string, end: number, delimiter: string): string | false {
  return end < record.length && record[end] !== delimiter && 'goes on behind its closing quote';
}
