import type { ConvertedType, FileMetaData, LogicalType, SchemaElement, SchemaTree } from 'hyparquet';

/** What an element's values mean. Undefined: just what their physical type is. `unknown`: newer than the library. */
export type Annotation = LogicalType | { readonly type: 'unknown' };

/** The older kind of annotations in terms of the newer; times of those are in UTC. */
const CONVERTED: Readonly<Record<Exclude<ConvertedType, 'DECIMAL'>, LogicalType>> = {
  UTF8: { type: 'STRING' },
  ENUM: { type: 'ENUM' },
  JSON: { type: 'JSON' },
  BSON: { type: 'BSON' },
  LIST: { type: 'LIST' },
  MAP: { type: 'MAP' },
  MAP_KEY_VALUE: { type: 'MAP' },
  DATE: { type: 'DATE' },
  INTERVAL: { type: 'INTERVAL' },
  TIME_MILLIS: { type: 'TIME', isAdjustedToUTC: true, unit: 'MILLIS' },
  TIME_MICROS: { type: 'TIME', isAdjustedToUTC: true, unit: 'MICROS' },
  TIMESTAMP_MILLIS: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  TIMESTAMP_MICROS: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  INT_8: { type: 'INTEGER', bitWidth: 8, isSigned: true },
  INT_16: { type: 'INTEGER', bitWidth: 16, isSigned: true },
  INT_32: { type: 'INTEGER', bitWidth: 32, isSigned: true },
  INT_64: { type: 'INTEGER', bitWidth: 64, isSigned: true },
  UINT_8: { type: 'INTEGER', bitWidth: 8, isSigned: false },
  UINT_16: { type: 'INTEGER', bitWidth: 16, isSigned: false },
  UINT_32: { type: 'INTEGER', bitWidth: 32, isSigned: false },
  UINT_64: { type: 'INTEGER', bitWidth: 64, isSigned: false },
};

function annotationOf(element: SchemaElement): Annotation | undefined {
  const { logical_type: logical, converted_type: converted, scale = 0, precision = 0 } = element;
  if (logical !== undefined) return isKnown(logical) ? logical : { type: 'unknown' };
  if (converted === 'DECIMAL') return { type: 'DECIMAL', scale, precision };
  return converted === undefined ? undefined : CONVERTED[converted];
}

/** The library hands on what it doesn't know as it found it. */
function isKnown(logical: Partial<LogicalType>): boolean {
  return logical.type !== undefined;
}

const TEXTS: ReadonlySet<string> = new Set(['STRING', 'ENUM', 'JSON']);

export interface Element extends SchemaElement {
  readonly annotation?: Annotation;
}

export interface Node extends SchemaTree {
  readonly element: Element;
  readonly children: Node[];
}

/**
 * The same metadata for a library that would make inexact values of annotated ones (numbers of decimals, `Date`s of timestamps, objects of
 * maps): it is told of texts and lists only, and the rest stands in `annotation`.
 */
export function unannotated(metadata: FileMetaData): FileMetaData & { readonly schema: Element[] } {
  return { ...metadata, schema: metadata.schema.map(unannotatedElement) };
}

function unannotatedElement(element: SchemaElement): Element {
  const { logical_type: _logical, converted_type: _converted, ...rest } = element;
  const annotation = annotationOf(element);
  if (annotation === undefined) return rest;
  const told = TEXTS.has(annotation.type) ? 'UTF8' : annotation.type === 'LIST' ? 'LIST' : undefined;
  return { ...rest, annotation, ...(told === undefined ? {} : { converted_type: told }) };
}
