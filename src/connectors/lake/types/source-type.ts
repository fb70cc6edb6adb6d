import type { ColumnShape } from '../../../core/model.js';
import type { TypeNode } from '../../postgres/types.js';

/** Names that a type may be declared by, and what the server calls it. */
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
  ...{ json: 'json', jsonb: 'jsonb', oid: 'oid' },
};

/** The whole of a printed type: its name, what stands in parentheses, what follows them, and dimensions. */
const PRINTED = /^([a-z_ ]+?)\s*(\(\s*-?\d+\s*(?:,\s*-?\d+\s*)?\))?((?: with(?:out)? time zone)?)((?:\[\d*\])*)$/;

/**
 * A source's column as Postgres would describe it. A declared type of a module's or a program's is one of Postgres' by its name; what no name
 * is known for is printed text.
 */
export function asPostgres(column: ColumnShape): ColumnShape {
  if (column.definition.startsWith('{')) return column;
  const printed = column.type.trim().toLowerCase().replace(/\s+/g, ' ');
  const [name = printed, modifiers = '', zone = '', dimensions = ''] = PRINTED.exec(printed)?.slice(1) ?? [];
  const builtin = NAMES[`${name}${zone}`] ?? 'text';
  const node: TypeNode = dimensions === '' ? { builtin } : { array: { builtin } };
  const type = `${builtin}${modifiers.replace(/\s/g, '')}${dimensions}`;
  return { ...column, type, definition: JSON.stringify(node) };
}
