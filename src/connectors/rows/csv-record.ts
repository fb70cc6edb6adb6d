/** A record's fields, NULL for an empty one without quotes, or what is wrong with it. */
export type Fields = { readonly fields: readonly (string | null)[] } | { readonly error: string };

/** Cuts one record, without its line break, into fields. */
export function splitRecord(record: string, delimiter: string): Fields {
  if (record.includes('"') || record.includes('\r')) return splitWithCare(record, delimiter);
  return { fields: record.split(delimiter).map((field) => (field === '' ? null : field)) };
}

function splitWithCare(record: string, delimiter: string): Fields {
  const fields: (string | null)[] = [];
  for (let at = 0; at <= record.length;) {
    const quoted = record[at] === '"';
    const end = quoted ? endOfQuoted(record, at) : endOf(record, delimiter, at);
    const field = record.slice(at, end);
    const wrong = quoted ? wrongBehind(record[end], delimiter) : wrongUnquoted(field);
    if (wrong !== undefined) return { error: `field ${fields.length + 1} ${wrong}` };
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

function wrongBehind(next: string | undefined, delimiter: string): string | undefined {
  return next === undefined || next === delimiter ? undefined : 'goes on behind its closing quote';
}

function wrongUnquoted(field: string): string | undefined {
  if (field.includes('"')) return 'has a quote in it, and none around it';
  return field.includes('\r') ? 'has a carriage return in it, and no quotes around it' : undefined;
}
