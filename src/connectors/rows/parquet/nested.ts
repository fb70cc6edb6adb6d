import { isListLike } from 'hyparquet/src/schema.js';
import type { Value } from '../../types.js';
import type { Node } from './annotation.js';

/** Makes an exact value of what the library gives for one. Throws Unfit. */
export type Convert<T extends Value = Value> = (given: unknown) => T;

export function orNull<T extends Value>(convert: Convert<T>): Convert<T | null> {
  return (given) => (given === undefined || given === null ? null : convert(given));
}

/** What a list is one of; undefined where the library makes no list of it. */
export function elementOf(node: Node): Node | undefined {
  if (!isListLike(node)) return undefined;
  const repeated = node.children[0]!;
  return repeated.children.length === 1 ? repeated.children[0] : repeated;
}

/** A map comes as a struct of the one field `entries`, a list of structs of these two. */
export interface MapNode {
  readonly entries: string;
  readonly key: Node;
  readonly value: Node;
}

export function mapOf(node: Node): MapNode | undefined {
  const [entries] = node.children;
  const [key, value] = entries?.children ?? [];
  if (node.element.annotation?.type !== 'MAP' || key === undefined || value === undefined) return undefined;
  return { entries: entries!.element.name, key, value };
}
