import type { TableSpec } from '../../core/model.js';
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

/** The folder of everything that a run writes below a table, from the store's root. Nothing else is ever written there. */
export function runFolder(spec: Pick<TableSpec, 'to'>, run: string): string {
  return `${tablePath(spec.to)!}/_longhaul/${encodeURIComponent(run)}/`;
}

/** Of its data files, another for each snapshot: see `TableRecord.staging`. */
export function stagingFolder(spec: Pick<TableSpec, 'to'>, run: string, snapshot: number | undefined): string {
  return `${runFolder(spec, run)}${snapshot ?? 0}/`;
}
