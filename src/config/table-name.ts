import { parseWrittenName, writePart, type WrittenPart } from '../core/table-name.js';

/** The parts of a table's name as they are written, see core/table-name.ts: an unquoted star in one is a pattern. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** The parts, quoted only where they must be, so that two spellings of one name are equal. Undefined: not a name. */
export function parseTableName(text: string): TableName | undefined {
  const parts = parseWrittenName(text);
  return parts && { schema: plainest(parts.schema), table: plainest(parts.table) };
}

export function formatTableName({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}

/** `sales.*`, `*.orders_*`: a star outside of quotes. */
export function isPattern({ schema, table }: TableName): boolean {
  return [schema, table].some((part) => !part.startsWith('"') && part.includes('*'));
}

function plainest({ name, quoted }: WrittenPart): string {
  return quoted ? writePart(name) : name;
}

const PLACEHOLDER = /\{([^{}]*)\}/g;

/** Placeholders of a target's template, as written: `schema`, `table`, or a mistake. */
export function placeholders(template: string): string[] {
  return [...template.matchAll(PLACEHOLDER)].map(([, name]) => name!);
}

/** `dw.{table}` for one table. */
export function fillTemplate(template: string, name: TableName): string {
  return template.replace(PLACEHOLDER, (whole, key: string) =>
    key === 'schema' ? name.schema : key === 'table' ? name.table : whole,
  );
}
