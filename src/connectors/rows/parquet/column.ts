import { isListLike } from 'hyparquet/src/schema.js';
import type { ColumnShape } from '../../../core/model.js';
import { columnKind } from '../column-kind.js';
import type { Node } from './annotation.js';
import { jsonConverter } from './json-column.js';
import { leafOf } from './leaf.js';
import { elementOf, type Convert, orNull } from './nested.js';

/**
 * For a column of a file and the table's of the same name: lists go into array columns, everything into those of a JSON type. Undefined:
 * the one can't be read into the other.
 */
export function converterOf(node: Node, { type }: Pick<ColumnShape, 'type'>): Convert | undefined {
  const { json, array, element } = columnKind({ type });
  if (node.element.repetition_type === 'REPEATED') return undefined;
  if (node.children.length === 0) return leafConverter(node, array ? type : element, json && !array);
  if (!array) return json ? jsonConverter(node) : undefined;
  return json ? listOf(node, jsonConverter) : listConverter(node, element);
}

/** For a person: what a column of the file is. */
export function describeNode(node: Node): string {
  const { annotation, type, repetition_type: repetition } = node.element;
  if (repetition === 'REPEATED' || isListLike(node)) return 'a list';
  if (node.children.length > 0) return annotation?.type === 'MAP' ? 'a map' : 'a struct';
  return `of the type ${annotation?.type ?? type ?? 'unknown'}`;
}

/** A text in a column of a JSON type is taken for JSON: most writers have no other way to say so. */
function leafConverter(node: Node, type: string, json: boolean): Convert | undefined {
  const leaf = leafOf(node.element, type);
  if (leaf === undefined) return undefined;
  return json && !leaf.text ? jsonConverter(node) : orNull(leaf.value);
}

function listConverter(node: Node, type: string): Convert | undefined {
  return listOf(node, (element) => {
    if (element.children.length > 0) return listConverter(element, type);
    const leaf = leafOf(element.element, type);
    return leaf && orNull(leaf.value);
  });
}

function listOf(node: Node, converter: (element: Node) => Convert | undefined): Convert | undefined {
  const element = elementOf(node);
  const item = element && converter(element);
  return item && orNull((given) => (given as unknown[]).map(item));
}
