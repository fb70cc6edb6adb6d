import type { LakeColumn } from '../model.js';
import { boundsOf, bytesBounds } from '../parquet-writer/bounds.js';
import { BytesLeaf } from '../parquet-writer/leaf.js';
import { leafType, physicalType } from '../parquet-writer/physical.js';
import { valueText } from '../parquet-writer/value-text.js';
import { Batch, ValueRefused } from './batch.js';
import type { PartitionValues } from './files.js';
import { ColumnRefused, RowGroup, type Decode } from './row-group.js';

/** The rows of one partition within a batch. */
export interface Dealt {
  readonly key: string;
  readonly values: PartitionValues;
  readonly rows: readonly number[];
}

export type PartitionOf = (batch: Batch) => Iterable<Dealt>;

/** The values of a key are few, and their texts are kept; beyond this many the table isn't one to be partitioned by them. */
const MOST_KEYS = 100_000;

/**
 * Deals the rows of batches by the values of some columns. Equal bytes are equal values; different bytes may be (`1.0` and `1.00`), so that the
 * key is made of the values' texts.
 */
export function dealer(
  columns: readonly LakeColumn[],
  fields: readonly number[],
  decodes: readonly Decode[],
): PartitionOf {
  const known = new Map<string, { readonly key: string; readonly values: PartitionValues }>();
  return (batch) => {
    const dealt = new Map<string, { key: string; values: PartitionValues; rows: number[] }>();
    for (let row = 0; row < batch.rows; row++) {
      const raw = rawKey(batch, row, fields);
      let partition = known.get(raw);
      if (partition === undefined) {
        if (known.size >= MOST_KEYS) known.clear();
        const values = valuesAt(batch, row, columns, decodes);
        partition = { key: JSON.stringify(Object.values(values)), values };
        known.set(raw, partition);
      }
      const rows = dealt.get(partition.key);
      if (rows) rows.rows.push(row);
      else dealt.set(partition.key, { ...partition, rows: [row] });
    }
    return dealt.values();
  };
}

function rawKey(batch: Batch, row: number, fields: readonly number[]): string {
  let key = '';
  for (const field of fields) {
    const at = field * batch.capacity + row;
    const length = batch.lengths[at]!;
    const text = length <= 0 ? '' : Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset + batch.starts[at]!, length);
    key += `${length}:${text.toString('latin1')}`;
  }
  return key;
}

/** As `DataFile.partitionValues` has them. */
function valuesAt(
  batch: Batch,
  row: number,
  columns: readonly LakeColumn[],
  decodes: readonly Decode[],
): PartitionValues {
  const one = new Batch(batch.fields, 1);
  one.take(batch, [row]);
  const group = new RowGroup(columns);
  try {
    group.add(one, decodes);
    return Object.fromEntries(group.chunks.map(({ column, leaf }) => [column.name, textOf(column, leaf)]));
  } catch (error) {
    if (error instanceof ColumnRefused) error.refused.row = row;
    throw error;
  }
}

function textOf(
  { name, type }: Pick<LakeColumn, 'name' | 'type'>,
  leaf: RowGroup['chunks'][number]['leaf'],
): string | null {
  if (leaf.count === 0) return null;
  if (leaf instanceof BytesLeaf) return nonEmpty(name, valueText(bytesBounds(leaf)!.min, type));
  const bounds = boundsOf(leaf, physicalType(leafType(type)));
  return bounds === undefined ? 'NaN' : valueText(bounds.min, type);
}

/** An empty text means NULL there. */
function nonEmpty(column: string, text: string): string {
  if (text !== '') return text;
  throw new ColumnRefused(
    column,
    new ValueRefused('it is an empty text, which a lake takes for NULL where it partitions by it'),
  );
}
