import type { ParquetWriter } from 'hyparquet-writer';

/** The columns of a classic checkpoint: an action a row, in the column of its name. All of them may be NULL. */

type SchemaElement = ConstructorParameters<typeof ParquetWriter>[0]['schema'][number];

type Shape = 'string' | 'long' | 'integer' | 'boolean' | 'strings' | 'map' | { readonly [field: string]: Shape };

const vector: Shape = {
  storageType: 'string',
  pathOrInlineDv: 'string',
  offset: 'integer',
  sizeInBytes: 'integer',
  cardinality: 'long',
};

const SHAPE = {
  txn: { appId: 'string', version: 'long', lastUpdated: 'long' },
  add: {
    ...{ path: 'string', partitionValues: 'map', size: 'long', modificationTime: 'long', dataChange: 'boolean' },
    ...{ stats: 'string', tags: 'map', deletionVector: vector, baseRowId: 'long', defaultRowCommitVersion: 'long' },
    clusteringProvider: 'string',
  },
  remove: {
    ...{ path: 'string', deletionTimestamp: 'long', dataChange: 'boolean', extendedFileMetadata: 'boolean' },
    ...{ partitionValues: 'map', size: 'long', deletionVector: vector, baseRowId: 'long' },
    defaultRowCommitVersion: 'long',
  },
  metaData: {
    ...{ id: 'string', name: 'string', description: 'string', format: { provider: 'string', options: 'map' } },
    ...{ schemaString: 'string', partitionColumns: 'strings', configuration: 'map', createdTime: 'long' },
  },
  protocol: {
    ...{ minReaderVersion: 'integer', minWriterVersion: 'integer' },
    ...{ readerFeatures: 'strings', writerFeatures: 'strings' },
  },
  domainMetadata: { domain: 'string', configuration: 'string', removed: 'boolean' },
} as const satisfies Record<string, Shape>;

export type CheckpointColumn = keyof typeof SHAPE;
export const CHECKPOINT_COLUMNS = Object.keys(SHAPE) as readonly CheckpointColumn[];

export const CHECKPOINT_SCHEMA: SchemaElement[] = [
  { name: 'root', num_children: CHECKPOINT_COLUMNS.length },
  ...Object.entries(SHAPE).flatMap(([name, shape]) => elementsOf(name, shape)),
];

function elementsOf(name: string, shape: Shape): SchemaElement[] {
  const repetition_type = 'OPTIONAL' as const;
  const string = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const;
  switch (shape) {
    case 'string':
      return [{ name, repetition_type, ...string }];
    case 'long':
      return [{ name, repetition_type, type: 'INT64' }];
    case 'integer':
      return [{ name, repetition_type, type: 'INT32' }];
    case 'boolean':
      return [{ name, repetition_type, type: 'BOOLEAN' }];
    case 'strings':
      return [
        { name, repetition_type, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', repetition_type, ...string },
      ];
    case 'map':
      return [
        { name, repetition_type, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
        { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
        { name: 'key', repetition_type: 'REQUIRED', ...string },
        { name: 'value', repetition_type, ...string },
      ];
    default: {
      const children = Object.entries(shape);
      const group = { name, repetition_type, num_children: children.length };
      return [group, ...children.flatMap(([child, inner]) => elementsOf(child, inner))];
    }
  }
}

/** An action's body as the writer takes it: what JSON has as a number is a bigint where the column is a long. */
export function checkpointValue(column: CheckpointColumn, body: object): unknown {
  return valueOf(SHAPE[column], body);
}

function valueOf(shape: Shape, value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  if (shape === 'long') return BigInt(value as number);
  if (typeof shape === 'string') return value;
  const body = value as Record<string, unknown>;
  return Object.fromEntries(Object.entries(shape).map(([name, inner]) => [name, valueOf(inner, body[name])]));
}
