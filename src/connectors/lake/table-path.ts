import { parseWrittenName } from '../../core/table-name.js';

/**
 * Where a table lies under a lake's root: a folder for its schema, in it one for the table. Names are exact: of what a path or a URL
 * could take for something else, each byte is `%` and two digits, and so is an underscore or dot at the beginning, which readers
 * pass over. Undefined for what is no table's name.
 */
export function tablePath(to: string): string | undefined {
  const name = parseWrittenName(to);
  return name && `${encoded(name.schema.name)}/${encoded(name.table.name)}`;
}

function encoded(name: string): string {
  return name.replace(/^[_.]|[^\p{L}\p{N}_.-]/gu, (unsafe) =>
    [...Buffer.from(unsafe)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

/** The folder of what a run loads into a table, from the store's root. Nothing else is ever written there. */
export function runFolder(record: { readonly run: string; readonly spec: { readonly to: string } }): string {
  return `${tablePath(record.spec.to)!}/_longhaul/${encodeURIComponent(record.run)}/`;
}
