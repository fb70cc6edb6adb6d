import type { Node } from './annotation.js';
import { leafOf, Unfit, type Leaf, type Scalar } from './leaf.js';
import { elementOf, mapOf, orNull, type Convert, type MapNode } from './nested.js';

type ToJson = Convert<string>;

/** Makes JSON text of a value of any shape, and null of one that isn't there. Undefined: there is no way to. */
export function jsonConverter(node: Node): Convert<string | null> | undefined {
  const convert = converterOf(node);
  return convert && orNull(convert);
}

function converterOf(node: Node): ToJson | undefined {
  if (node.children.length === 0) return leafJson(leafOf(node.element, 'json'));
  const element = elementOf(node);
  if (element !== undefined) return listJson(element);
  const map = mapOf(node);
  return map === undefined ? structJson(node) : mapJson(map);
}

function leafJson(leaf: Leaf | undefined): ToJson | undefined {
  if (leaf === undefined) return undefined;
  return (given) => {
    const value = leaf.value(given);
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Unfit('has a number that JSON has not');
    return leaf.json ? printed(value) : JSON.stringify(value);
  };
}

/** Bytes are texts here already, see `leafOf`. */
function printed(value: Scalar): string {
  return String(value);
}

function listJson(element: Node): ToJson | undefined {
  const item = jsonConverter(element);
  return item && ((given) => `[${(given as unknown[]).map((each) => item(each) ?? 'null').join(',')}]`);
}

function structJson(node: Node): ToJson | undefined {
  const fields = node.children.map((child) => ({ name: child.element.name, convert: fieldConverter(child) }));
  if (!fields.every((field) => field.convert !== undefined)) return undefined;
  return (given) => {
    const struct = given as Readonly<Record<string, unknown>>;
    return `{${fields.map(({ name, convert }) => member(name, convert!(struct[name]))).join(',')}}`;
  };
}

/** A repeated field outside lists and maps is a way to write lists that is long out of use. */
function fieldConverter(child: Node): Convert<string | null> | undefined {
  return child.element.repetition_type === 'REPEATED' ? undefined : jsonConverter(child);
}

function mapJson({ entries, key, value }: MapNode): ToJson | undefined {
  const keys = key.children.length === 0 ? leafOf(key.element, 'json') : undefined;
  const values = jsonConverter(value);
  if (keys === undefined || values === undefined) return undefined;
  return (given) => {
    const pairs = (given as Readonly<Record<string, unknown>>)[entries] as readonly Readonly<Record<string, unknown>>[];
    const members = pairs.map((pair) =>
      member(printed(keys.value(pair[key.element.name])), values(pair[value.element.name])),
    );
    return `{${members.join(',')}}`;
  };
}

function member(name: string, json: string | null): string {
  return `${JSON.stringify(name)}:${json ?? 'null'}`;
}
