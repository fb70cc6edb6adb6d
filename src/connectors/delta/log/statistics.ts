import type { ColumnStatistics, DataFile, LakeColumn, LakeType } from '../../lake/model.js';
import type { Metadata } from './actions.js';
import { fieldsOf } from './schema.js';

/**
 * The statistics of a file as `add` has them: JSON, by which engines pass over files. A bound may be wider than the values, never
 * narrower; where none can be given, it is left out, and the file is read.
 */
export function statsJson(file: DataFile, columns: readonly LakeColumn[]): string {
  const [minimums, maximums, nulls] = [[], [], []] as [string[], string[], string[]];
  for (const { name, type } of columns) {
    const known = file.statistics[name];
    if (known === undefined) continue;
    const key = `${JSON.stringify(name)}:`;
    const { min, max } = boundsOf(type, known);
    if (min !== undefined) minimums.push(key + min);
    if (max !== undefined) maximums.push(key + max);
    nulls.push(`${key}${known.nulls}`);
  }
  const [minValues, maxValues, nullCount] = [minimums, maximums, nulls].map((entries) => `{${entries.join(',')}}`);
  return `{"numRecords":${file.rows},"minValues":${minValues},"maxValues":${maxValues},"nullCount":${nullCount}}`;
}

/** By default engines keep statistics of as many columns. */
export const INDEXED = 32;

/** The columns that get statistics in this table. */
export function indexedColumns(
  columns: readonly LakeColumn[],
  metadata: Metadata,
  clustering: string | undefined,
): LakeColumn[] {
  const { configuration, partitionColumns } = metadata;
  const named = configuration['delta.dataSkippingStatsColumns']
    ?.split(',')
    .map((name) => name.trim().replaceAll('`', ''));
  const count = Number(configuration['delta.dataSkippingNumIndexedCols'] ?? INDEXED);
  const data = fieldsOf(metadata).map(({ name }) => name);
  const first = data.filter((name) => !partitionColumns.includes(name)).slice(0, count < 0 ? undefined : count);
  const wanted = new Set([...(named ?? first), ...clusteringColumns(clustering)]);
  return columns.filter(({ name }) => wanted.has(name) && !partitionColumns.includes(name));
}

/** A table that is clustered asks for the statistics of these. */
function clusteringColumns(configuration: string | undefined): readonly string[] {
  if (configuration === undefined) return [];
  const { clusteringColumns: columns = [] } = JSON.parse(configuration) as {
    clusteringColumns?: (string | string[])[];
  };
  return columns.map((column) => (typeof column === 'string' ? column : column.join('.')));
}

interface Bounds {
  /** JSON. */
  readonly min?: string | undefined;
  readonly max?: string | undefined;
}

function boundsOf(type: LakeType, { min, max }: ColumnStatistics): Bounds {
  if (min === undefined || max === undefined) return {};
  switch (type.kind) {
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
    case 'decimal':
      return { min: exact(min), max: exact(max) };
    case 'float':
    case 'double':
      return { min: floating(type.kind, min, '-0.0'), max: floating(type.kind, max, '0.0') };
    case 'date':
      return { min: dateText(min), max: dateText(max) };
    case 'timestamp':
    case 'timestamp_ntz':
      return { min: moment(min, type.kind, 'down'), max: moment(max, type.kind, 'up') };
    case 'string':
      return { min: JSON.stringify(cut(min)), max: greatest(max) };
    default:
      return {}; // boolean, binary, list: engines pass over no file by them
  }
}

/** As JSON has numbers, with every digit. */
function exact(text: string): string | undefined {
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text) ? text : undefined;
}

/**
 * A float4 as the float8 that it is exactly, for readers that compare it as one. The two zeros are equal in SQL and differ in some readers'
 * order: the wider one is taken.
 */
function floating(kind: 'float' | 'double', text: string, zero: string): string | undefined {
  const value = kind === 'float' ? Math.fround(Number(text)) : Number(text);
  if (!Number.isFinite(value)) return undefined;
  return value === 0 ? zero : String(value);
}

function dateText(text: string): string | undefined {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) ? JSON.stringify(text) : undefined;
}

const MOMENT = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(?:Z|\+00(?::?00)?)?$/;
const LAST_YEAR = 9999;

/** In milliseconds, as engines expect; the greatest is rounded up, since some readers take it for exact. */
function moment(text: string, kind: 'timestamp' | 'timestamp_ntz', direction: 'down' | 'up'): string | undefined {
  const match = MOMENT.exec(text);
  if (match === null) return undefined;
  const micros = Number((match[3] ?? '').padEnd(6, '0'));
  const millis = direction === 'down' ? Math.floor(micros / 1000) : Math.ceil(micros / 1000);
  const date = new Date(`${match[1]}T${match[2]}Z`);
  date.setTime(date.getTime() + millis);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > LAST_YEAR) return undefined;
  const iso = date.toISOString();
  return JSON.stringify(kind === 'timestamp' ? iso : iso.slice(0, -1));
}

/** In code points, as Spark cuts. */
const PREFIX = 32;
const ASCII_LAST = 0x7f;
const LAST = 0x10ffff;

function cut(text: string): string {
  if (text.length <= PREFIX) return text;
  let end = 0;
  for (let taken = 0; taken < PREFIX && end < text.length; taken++) end += text.codePointAt(end)! > 0xffff ? 2 : 1;
  return text.slice(0, end);
}

/** What is cut off is made up for by a character that is greater than the first of it; undefined where there is none. */
function greatest(text: string): string | undefined {
  const prefix = cut(text);
  if (prefix.length === text.length) return JSON.stringify(text);
  const next = text.codePointAt(prefix.length)!;
  if (next >= LAST) return undefined;
  return JSON.stringify(prefix + String.fromCodePoint(next < ASCII_LAST ? ASCII_LAST : LAST));
}
