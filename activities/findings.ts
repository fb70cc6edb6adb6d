import { findingToProblem, type Finding } from '../src/connectors/types.js';
import type { Problem } from '../src/core/errors.js';
import { bounded, utf8Length } from '../src/core/text.js';

/** Sorts findings into problems and warnings, each with its place in the job file. */
export class Findings {
  readonly problems: Problem[];
  readonly warnings: Problem[];

  constructor(problems: readonly Problem[], warnings: readonly Problem[]) {
    this.problems = [...problems];
    this.warnings = [...warnings];
  }

  add(path: string, findings: readonly Finding[]): void {
    for (const finding of findings)
      (finding.severity === 'problem' ? this.problems : this.warnings).push(findingToProblem(path, finding));
  }
}

/** In the order of the file's tables; what is said of the job as a whole, and of its servers, comes first as it was found. */
export function inOrder(problems: readonly Problem[]): Problem[] {
  const place = ({ path }: Problem) => Number(/^tables\[(\d+)\]/.exec(path)?.[1] ?? -1);
  return [...problems].sort((a, b) => place(a) - place(b));
}

/** Of one text: a table may have thousands of dependents, and each is named. */
const MESSAGE_BYTES = 2_000;

/** The first of a list that fit into `limit` bytes as JSON, each bounded by itself, and how many are left out. */
export function boundedProblems(
  problems: readonly Problem[],
  limit: number,
): { readonly shown: readonly Problem[]; readonly more: number } {
  const shown: Problem[] = [];
  let used = 0;
  for (const { path, message, fix } of problems) {
    const text = {
      message: bounded(message, MESSAGE_BYTES),
      ...(fix !== undefined && { fix: bounded(fix, MESSAGE_BYTES) }),
    };
    const problem = { path, ...text };
    used += utf8Length(JSON.stringify(problem)) + 1;
    if (used > limit) break;
    shown.push(problem);
  }
  return { shown, more: problems.length - shown.length };
}
