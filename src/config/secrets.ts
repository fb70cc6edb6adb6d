import { inspect } from 'node:util';

/** What stands for a secret wherever one would be printed. */
export const REDACTED = '[secret]';

/**
 * The same object, printing without the named keys' values in JSON and in `util.inspect` (so in console.log and loggers). The two
 * methods are ordinary properties, so that a copy made by spreading keeps its secrets as well.
 */
export function withSecrets<T extends object>(value: T, secret: readonly (keyof T & string)[]): T {
  return Object.assign(value, {
    toJSON(this: object) {
      return redacted(this, secret);
    },
    [inspect.custom](this: object) {
      return redacted(this, secret);
    },
  });
}

function redacted(value: object, secret: readonly string[]): object {
  const entries = Object.entries(value).filter(([key, item]) => key !== 'toJSON' && item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, secret.includes(key) ? REDACTED : (item as unknown)]));
}
