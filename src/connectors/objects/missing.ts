import { LonghaulError } from '../../core/errors.js';
import { shownPath } from './paths.js';

/** An object that was read, since a ledger or a log names it, and is not what they say. */
export function missing(connection: string, path: string, size?: number): LonghaulError {
  const what = size === undefined ? 'is not there' : `is shorter than ${size} bytes`;
  const message = `Connection ${connection}: ${shownPath(path)} ${what}, and something that is written there says otherwise.`;
  return new LonghaulError('TargetChanged', message, {
    next: 'Look for what has removed or changed files there: a rule of the bucket, a cleanup of another engine, a person.',
  });
}

/** Two writers of a path that only one may write. */
export function taken(connection: string, path: string): LonghaulError {
  const message = `Connection ${connection}: there is something at ${shownPath(path)} already; it was left as it is.`;
  return new LonghaulError('Conflict', message, { next: 'It is tried again, under another name.' });
}
