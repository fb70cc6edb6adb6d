import type { Command } from 'commander';
import type { Context } from './context.js';

/** A command's work: answers with the exit code, throws what `explain` can put into words. */
export type Action<Arguments extends unknown[]> = (context: Context, ...args: Arguments) => Promise<number>;

/** What the files of commands get: adds the command, and turns its work into a commander action. */
export interface Registry {
  /** `spec` is commander's notation, e.g. `watch <name>`. */
  readonly command: (spec: string, description: string, example: string) => Command;
  readonly action: <A extends unknown[]>(work: Action<A>) => (...args: A) => Promise<void>;
}
