import { parse } from 'lossless-json';
import { bounded } from '../../core/text.js';

/** A number as it was written. */
export class Digits {
  constructor(readonly text: string) {}
}

export type Json = null | boolean | string | Digits | readonly Json[] | JsonMap;
export interface JsonMap {
  readonly [key: string]: Json;
}

/** Why a text is no JSON, without a piece of it. */
export class NotJson extends Error {}

/** Reads JSON; numbers keep their digits. Throws NotJson, also for a key that an object has twice with two values; RangeError when it is nested too deeply. */
export function parseJson(text: string): Json {
  const onDuplicateKey = ({ key }: { key: string }) => {
    throw new NotJson(`it has the key "${bounded(key, 100)}" twice`);
  };
  try {
    return parse(text, undefined, { parseNumber: (digits) => new Digits(digits), onDuplicateKey }) as Json;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const at = / at position (\d+)$/.exec(error.message)?.[1]; // the message itself quotes the text
    throw new NotJson(`it is no JSON${at === undefined ? '' : ` (character ${Number(at) + 1})`}`);
  }
}

export function isJsonMap(json: Json): json is JsonMap {
  return typeof json === 'object' && json !== null && !Array.isArray(json) && !(json instanceof Digits);
}

/** JSON without spaces, that reads as what `json` was read from. */
export function jsonText(json: Json): string {
  if (json instanceof Digits) return json.text;
  if (Array.isArray(json)) return `[${(json as readonly Json[]).map(jsonText).join(',')}]`;
  if (!isJsonMap(json)) return JSON.stringify(json);
  const members = Object.entries(json).map(([key, value]) => `${JSON.stringify(key)}:${jsonText(value)}`);
  return `{${members.join(',')}}`;
}

/** A text that no text column holds: half of a pair of surrogates, or NUL. Undefined: it is fine. */
export function unstorable(text: string): string | undefined {
  if (text.includes('\0')) return 'a NUL character';
  return /\p{Surrogate}/u.test(text) ? 'half of a surrogate pair' : undefined;
}

/** The same of all texts within, keys too. */
export function unstorableWithin(json: Json): string | undefined {
  if (typeof json === 'string') return unstorable(json);
  if (json === null || typeof json !== 'object' || json instanceof Digits) return undefined;
  return Object.entries(json).reduce<string | undefined>(
    (found, [key, value]) => found ?? unstorable(key) ?? unstorableWithin(value),
    undefined,
  );
}
