import type { JsonObject, Value } from '../../types.js';
import { exactNumber } from './number.js';
import { Refusal, wrongKind } from './refusal.js';

/** JSON of a value, with every digit of its bigints. What JSON has no form for is refused, where JSON.stringify would leave it out. */
export function jsonText(value: Value): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return jsonNumber(value);
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(jsonText).join(',')}]`;
  return jsonObject(value as JsonObject);
}

function jsonNumber(value: number): string {
  if (!Number.isFinite(value)) throw new Refusal(`JSON has no ${value}: give null or a text`);
  return exactNumber(value);
}

function jsonObject(value: JsonObject): string {
  if (typeof value !== 'object' || value instanceof Date || value instanceof Uint8Array) throw wrongKind(value, 'json');
  return `{${Object.entries(value)
    .map(([key, of]) => `${JSON.stringify(key)}:${jsonText(of)}`)
    .join(',')}}`;
}
