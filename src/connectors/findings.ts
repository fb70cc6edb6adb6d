import type { LonghaulError, Problem } from '../core/errors.js';
import { lowerFirst } from '../core/text.js';
import type { Finding } from './types.js';

/** Paths are as `Finding` has them. */
export function problem(path: string, message: string, fix?: string): Finding {
  return { severity: 'problem', path, message, ...(fix !== undefined && { fix }) };
}

export function warning(path: string, message: string, fix?: string): Finding {
  return { severity: 'warning', path, message, ...(fix !== undefined && { fix }) };
}

/** As one of the lines of a check: what it says of a copy that goes on is not of a check. */
export function errorFinding({ message, next }: LonghaulError): Finding {
  const text = lowerFirst(message.replace(/\.$/, ''));
  const fix = next?.replace(/; the copy goes on .*$/, '');
  return problem('', text, fix === undefined ? undefined : lowerFirst(fix));
}

/** Paths of findings are below a table's entry; this puts the entry's own path before them. */
export function findingToProblem(base: string, finding: Finding): Problem {
  const path = [base, finding.path].filter((part) => part !== '').join('.');
  return { path, message: finding.message, ...(finding.fix === undefined ? {} : { fix: finding.fix }) };
}
