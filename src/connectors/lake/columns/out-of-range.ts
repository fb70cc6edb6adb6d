import type { OutOfRange } from '../model.js';
import { ValueRefused } from './batch.js';

/** What becomes of a value that the lake's type can't hold: false, that is NULL, or ValueRefused. */
export type Unholdable = (what: string) => false;

export function unholdable(policy: OutOfRange, nullable: boolean): Unholdable {
  if (policy === 'null' && nullable) return () => false;
  return (what) => {
    throw new ValueRefused(`${what} is out of what the lake's type holds`);
  };
}
