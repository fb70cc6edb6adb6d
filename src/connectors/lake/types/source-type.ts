import type { ColumnShape } from '../../../core/model.js';
import type { TypeNode } from '../../postgres/types.js';

/** Names that a type may be declared by, and what Postgres calls it. */
const NAMES: Readonly<Record<string, string>> = {
  ...{
    smallint: 'int2',
    int2: 'int2',
    smallserial: 'int2',
    int: 'int4',
    integer: 'int4',
    int4: 'int4',
    serial: 'int4',
  },
  ...{ bigint: 'int8', int8: 'int8', bigserial: 'int8', numeric: 'numeric', decimal: 'numeric', dec: 'numeric' },
  ...{ real: 'float4', float4: 'float4', float: 'float8', float8: 'float8', 'double precision': 'float8' },
  ...{ boolean: 'bool', bool: 'bool', text: 'text', varchar: 'varchar', 'character varying': 'varchar' },
  ...{ char: 'bpchar', character: 'bpchar', bpchar: 'bpchar', bytea: 'bytea', date: 'date', uuid: 'uuid' },
  ...{ timestamp: 'timestamp', 'timestamp without time zone': 'timestamp', datetime: 'timestamp' },
  ...{ timestamptz: 'timestamptz', 'timestamp with time zone': 'timestamptz' },
  ...{ time: 'time', 'time without time zone': 'time', timetz: 'timetz', 'time with time zone': 'timetz' },
  ...{ json: 'json', jsonb: 'jsonb', oid: 'oid', interval: 'interval', inet: 'inet', cidr: 'cidr', xml: 'xml' },
  // What lakes call them, where Postgres has no type of that name.
  ...{ string: 'text', double: 'float8', long: 'int8', short: 'int2', binary: 'bytea', timestamp_ntz: 'timestamp' },
};

/** The whole of a printed type: its name, what stands in parentheses, what follows them, and dimensions. */
const PRINTED = /^([a-z_ ]+?)\s*(\(\s*-?\d+\s*(?:,\s*-?\d+\s*)?\))?((?: with(?:out)? time zone)?)((?:\[\d*\])*)$/;

/**
 * A source's column as Postgres would describe it. A declared type of a module's or a program's is one of Postgres' by its name; what no name
 * is known for is printed text.
 */
export function asPostgres(column: ColumnShape): ColumnShape {
  if (isDescribed(column)) return column;
  const { name, modifiers, dimensions } = partsOf(column);
  const builtin = NAMES[name] ?? 'text';
  const node: TypeNode = dimensions === '' ? { builtin } : { array: { builtin } };
  return { ...column, type: `${builtin}${modifiers}${dimensions}`, definition: JSON.stringify(node) };
}

/** Whether its type says what its values are: a declared one may be a slip of the pen. */
export function isKnownType(column: ColumnShape): boolean {
  return isDescribed(column) || Object.hasOwn(NAMES, partsOf(column).name);
}

/** By a Postgres server, and not only by a name. */
function isDescribed({ definition }: ColumnShape): boolean {
  return definition.startsWith('{');
}

function partsOf({ type }: ColumnShape): { name: string; modifiers: string; dimensions: string } {
  const printed = type.trim().toLowerCase().replace(/\s+/g, ' ');
  const [name = printed, modifiers = '', zone = '', dimensions = ''] = PRINTED.exec(printed)?.slice(1) ?? [];
  return { name: `${name}${zone}`, modifiers: modifiers.replace(/\s/g, ''), dimensions };
}
