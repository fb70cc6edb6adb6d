import type { LonghaulError } from '../core/errors.js';
import { lowerFirst } from '../core/text.js';
import type { Finding } from './types.js';

/** As one of the lines of a check: what it says of a copy that goes on is not of a check. */
export function errorFinding({ message, next }: LonghaulError): Finding {
  const text = lowerFirst(message.replace(/\.$/, ''));
  const fix = next?.replace(/; the copy goes on .*$/, '');
  return { severity: 'problem', path: '', message: text, ...(fix !== undefined && { fix: lowerFirst(fix) }) };
}
