/**
 * Names of tables as a job file writes them: `schema.table`, or `table` for one in `public`. Names are exact, never folded to lower
 * case; double quotes are only needed around a part with a dot, a quote, a space or a star in it.
 */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

const PART = String.raw`"(?:[^"]|"")+"|[^".\s{}]+`;
const NAME = new RegExp(`^(?:(${PART})\\.)?(${PART})$`);

/** The parts, quoted only where they must be, so that two spellings of one name are equal. Undefined: not a name. */
export function parseTableName(text: string): TableName | undefined {
  const match = NAME.exec(text.trim());
  if (match === null) return undefined;
  return { schema: plainest(match[1] ?? 'public'), table: plainest(match[2]!) };
}

export function formatTableName({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}

/** `sales.*`, `*.orders_*`: a star outside of quotes. */
export function isPattern({ schema, table }: TableName): boolean {
  return [schema, table].some((part) => !part.startsWith('"') && part.includes('*'));
}

function plainest(part: string): string {
  const inner = part.slice(1, -1);
  return part.startsWith('"') && /^[^\s".*{}]+$/.test(inner) ? inner : part;
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
