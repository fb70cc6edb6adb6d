import { typeOf } from '../../postgres/formats.js';
import { ListLevels, type Leaf } from '../parquet-writer/leaf.js';
import { leafType } from '../parquet-writer/physical.js';
import type { ChunkValues } from '../parquet-writer/chunk.js';
import type { LakeColumn, OutOfRange } from '../model.js';
import { elementOf, isGeometry } from '../types/lake-type-of.js';
import { asPostgres } from '../types/source-type.js';
import { ValueRefused, type Batch } from './batch.js';
import { leafFill, newLeaf, type Form } from './decoders.js';
import { fillLists, type Delimiter } from './lists.js';

/** Adds one field of a batch to what is collected of a column. */
export type Decode = (batch: Batch, values: ChunkValues) => void;

/** How a column is decoded from field `field` of the rows. Undefined: it can't be, in this form. */
export function decodeOf(column: LakeColumn, field: number, form: Form, policy: OutOfRange): Decode | undefined {
  const fill = leafFill(column, form, policy);
  if (fill === undefined) return undefined;
  if (column.type.kind !== 'list') return (batch, { leaf }) => fill(batch, field, leaf);
  const lists = fillLists(fill, form, delimiterOf(column), column.nullable);
  return (batch, { leaf, levels }) => lists(batch, field, leaf, levels!);
}

function delimiterOf({ source }: LakeColumn): Delimiter {
  const element = elementOf(typeOf(asPostgres(source)));
  if (isGeometry(element)) return ':';
  return 'builtin' in element.node && element.node.builtin === 'box' ? ';' : ',';
}

/** The values of one row group while they are collected, in arrays that serve the next one too. */
export class RowGroup {
  rows = 0;
  readonly chunks: readonly ChunkValues[];

  constructor(columns: readonly LakeColumn[]) {
    this.chunks = columns.map((column) => ({
      column,
      leaf: newLeaf(leafType(column.type)),
      ...(column.type.kind === 'list' && { levels: new ListLevels() }),
    }));
  }

  /** In bytes. */
  get size(): number {
    return this.chunks.reduce(
      (sum, { leaf, levels }) => sum + leaf.byteLength + leaf.slots + (levels?.entries ?? 0) * 2,
      0,
    );
  }

  /** `decodes`: by column. Throws ColumnRefused. */
  add(batch: Batch, decodes: readonly Decode[]): void {
    for (let index = 0; index < this.chunks.length; index++)
      this.#addColumn(batch, decodes[index]!, this.chunks[index]!);
    this.rows += batch.rows;
  }

  clear(): void {
    this.rows = 0;
    for (const { leaf, levels } of this.chunks) {
      leaf.clear();
      levels?.clear();
    }
  }

  #addColumn(batch: Batch, decode: Decode, values: ChunkValues): void {
    const { column, leaf, levels } = values;
    try {
      decode(batch, values);
      if (!column.nullable) requireAll(batch, leaf, levels);
    } catch (error) {
      throw error instanceof ValueRefused ? new ColumnRefused(column.name, error) : error;
    }
  }
}

/** A value that can't be written, with its column. */
export class ColumnRefused extends Error {
  override readonly name = 'ColumnRefused';

  constructor(
    readonly column: string,
    readonly refused: ValueRefused,
  ) {
    super(refused.why);
  }
}

/** What is not nullable at the source has a value in every row. */
function requireAll(batch: Batch, leaf: Leaf, levels: ListLevels | undefined): void {
  const missing = levels ? levels.nulls > 0 : leaf.count !== leaf.slots;
  if (!missing) return;
  const refused = new ValueRefused('it is NULL, and the column is NOT NULL');
  refused.row = levels ? 0 : leaf.present.indexOf(0, leaf.slots - batch.rows) - (leaf.slots - batch.rows);
  throw refused;
}
