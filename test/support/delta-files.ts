import { parquetWriteBuffer } from 'hyparquet-writer';
import type { DataFile } from '../../src/connectors/lake/model.js';
import type { DeltaMemoryStore } from './delta-memory-store.js';
import { lakeColumn, TABLE } from './delta.js';

type SchemaElement = NonNullable<Parameters<typeof parquetWriteBuffer>[0]['schema']>[number];

/** Data files of a table of these columns, for tests of its log. */
export const SALES = [
  lakeColumn('id', 'long', false),
  lakeColumn('price', { kind: 'decimal', precision: 18, scale: 2 }),
  lakeColumn('name', 'string'),
  lakeColumn('at', 'timestamp'),
  lakeColumn('clock', 'timestamp_ntz'),
  lakeColumn('day', 'date'),
  lakeColumn('ratio', 'double'),
  { ...lakeColumn('region', 'string'), comment: 'where it\'s sold: "here"' },
];

const ELEMENTS: readonly SchemaElement[] = [
  { name: 'id', type: 'INT64', repetition_type: 'REQUIRED' },
  { name: 'price', type: 'INT64', converted_type: 'DECIMAL', precision: 18, scale: 2 },
  { name: 'name', type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  { name: 'at', type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' } },
  { name: 'clock', type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MICROS' } },
  { name: 'day', type: 'INT32', converted_type: 'DATE' },
  { name: 'ratio', type: 'DOUBLE' },
];
const SCHEMA: SchemaElement[] = [
  { name: 'root', num_children: ELEMENTS.length },
  ...ELEMENTS.map((element) => ({ repetition_type: 'OPTIONAL' as const, ...element })),
];

/** 2024-01-01 00:00:00.123456 UTC. */
const EPOCH = 1_704_067_200_123_456n;

/** Rows with ids in [from, to), a day apart. */
export function salesFile(
  store: DeltaMemoryStore,
  name: string,
  from: number,
  to: number,
  region: string | null,
): DataFile {
  const ids = Array.from({ length: to - from }, (_, index) => from + index);
  const data: Record<string, unknown[]> = {
    id: ids.map(BigInt),
    price: ids.map((id) => id + 0.25),
    name: ids.map((id) => (id % 10 === 0 ? null : nameOf(id))),
    at: ids.map((id) => EPOCH + BigInt(id) * 86_400_000_000n),
    clock: ids.map((id) => EPOCH + BigInt(id) * 86_400_000_000n),
    day: ids.map((id) => 19_723 + id),
    ratio: ids.map((id) => id / 8),
  };
  const columnData = Object.entries(data).map(([column, values]) => ({ name: column, data: values }));
  const bytes = new Uint8Array(parquetWriteBuffer({ schema: SCHEMA, columnData }));
  const path = `${TABLE}/_longhaul/run-1/${name}`;
  store.set(path, bytes);
  return { path, size: bytes.length, rows: ids.length, partitionValues: { region }, statistics: statistics(ids) };
}

/** Longer than what statistics keep. */
export function nameOf(id: number): string {
  return `customer of the far north, number ${String(id).padStart(6, '0')}`;
}

function statistics(ids: readonly number[]): DataFile['statistics'] {
  const [first, last] = [ids[0]!, ids.at(-1)!];
  const names = ids.filter((id) => id % 10 !== 0);
  const moment = (id: number) =>
    new Date(Number(EPOCH / 1000n) + id * 86_400_000).toISOString().replace('T', ' ').replace('Z', '456');
  return {
    id: { min: `${first}`, max: `${last}`, nulls: 0 },
    price: { min: `${first}.25`, max: `${last}.25`, nulls: 0 },
    name: { min: nameOf(names[0]!), max: nameOf(names.at(-1)!), nulls: ids.length - names.length },
    at: { min: `${moment(first)}+00`, max: `${moment(last)}+00`, nulls: 0 },
    clock: { min: moment(first), max: moment(last), nulls: 0 },
    day: { min: moment(first).slice(0, 10), max: moment(last).slice(0, 10), nulls: 0 },
    ratio: { min: `${first / 8}`, max: `${last / 8}`, nulls: 0 },
  };
}
