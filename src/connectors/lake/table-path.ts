import type { TableSpec } from '../../core/model.js';
import { parseWrittenName } from '../../core/table-name.js';

/**
 * Where a table lies under a lake's root: a folder for its schema, in it one for the table. Names are exact: of what a path or a URL
 * could take for something else, each byte is `~` and two digits, and so is an underscore or dot at the beginning, which readers
 * pass over. (Not `%`: what a path says is a URL to delta-rs and DuckDB, and they find no table then.) Undefined for what is no table's name.
 */
export function tablePath(to: string): string | undefined {
  const name = parseWrittenName(to);
  return name && `${encoded(name.schema.name)}/${encoded(name.table.name)}`;
}

function encoded(name: string): string {
  return name.replace(/^[_.]|[^\p{L}\p{N}_.-]/gu, (unsafe) =>
    [...Buffer.from(unsafe)].map((byte) => `~${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

/** Hidden from whoever reads a folder as a table: what is in it counts when the table's own log names it. */
export const HIDDEN_FOLDER = '_longhaul';

/**
 * The folder of everything that a run writes below a table, from the store's root. Nothing else is ever written there. `own`: the
 * format's (see `TableFormat.ownFolder`).
 */
export function runFolder(own: string, spec: Pick<TableSpec, 'to'>, run: string): string {
  return `${tablePath(spec.to)!}/${own}/${encodeURIComponent(run)}/`;
}

/** The run whose folder has this name. Undefined: no run's has. */
export function runOf(folder: string): string | undefined {
  try {
    return decodeURIComponent(folder);
  } catch {
    return undefined;
  }
}

/** Of its data files, without folders in it, another for each snapshot: see `TableRecord.staging`. */
export function stagingFolder(
  own: string,
  spec: Pick<TableSpec, 'to'>,
  run: string,
  snapshot: number | undefined,
): string {
  return `${runFolder(own, spec, run)}${snapshot ?? 0}/`;
}
