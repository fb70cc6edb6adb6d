import { LonghaulError } from '../../core/errors.js';

/** What a store keeps of its own lies here, and is not listed. Folders of a lake that begin with `_` are no data to any reader. */
export const TEMP_FOLDER = '_longhaul/tmp';

/** S3's limit of a key, in bytes. */
const LONGEST_PATH = 1024;

/**
 * Refuses what doesn't mean the same in every store: a folder is no object, `..` leads out of the root on a disk, and control characters
 * can't stand in the XML of S3's lists. Such a path is a mistake of the caller's.
 */
export function assertPath(path: string): void {
  const parts = path.split('/');
  const plain = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !hasControlCharacter(part));
  if (plain && Buffer.byteLength(path) <= LONGEST_PATH && !isOwn(path)) return;
  throw new LonghaulError('Unknown', `${shownPath(path)} is not the path of an object; nothing was written.`);
}

/** True of what a store keeps for itself. */
export function isOwn(path: string): boolean {
  return path === TEMP_FOLDER || path.startsWith(`${TEMP_FOLDER}/`);
}

/** A path for messages: the values of partition columns in it are the customer's data. */
export function shownPath(path: string): string {
  return path.replace(/=[^/]*/g, '=…');
}

/** The order of lists. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function hasControlCharacter(text: string): boolean {
  for (const character of text) if (character < ' ' || character === '\x7f') return true;
  return false;
}
