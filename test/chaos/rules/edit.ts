import type { Edit } from './rules.js';

/** The file's text without a rule. Throws when what is to be taken out is not there exactly once. */
export function applyEdit(source: string, { file, find, replace }: Edit): string {
  const [before, after, ...more] = source.split(find);
  if (after === undefined || more.length > 0) {
    const times = after === undefined ? 'not there' : `there ${more.length + 1} times`;
    throw new Error(`dist/${file} has changed: what a rule's removal replaces is ${times}: ${find}`);
  }
  return `${before}${replace}${after}`;
}
