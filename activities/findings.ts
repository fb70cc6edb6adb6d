import { findingToProblem } from '../src/connectors/findings.js';
import type { Finding } from '../src/connectors/types.js';
import type { Problem } from '../src/core/errors.js';
import { bounded, utf8Length } from '../src/core/text.js';

/** A problem or warning, and the table that it is of where one entry of the file stands for several. */
interface Found extends Problem {
  readonly table?: string;
}

/** Gathers what is found: sorted into problems and warnings, each with its place in the job file, each text once. */
export class Findings {
  readonly #problems: Found[];
  readonly #warnings: Found[];

  constructor(problems: readonly Problem[], warnings: readonly Problem[]) {
    this.#problems = [...problems];
    this.#warnings = [...warnings];
  }

  /** `table`: to be named, since its path alone would not tell which it is. */
  add(path: string, findings: readonly Finding[], table?: string): void {
    for (const finding of findings) {
      const list = finding.severity === 'problem' ? this.#problems : this.#warnings;
      list.push({ ...findingToProblem(path, finding), ...(table !== undefined && { table }) });
    }
  }

  addProblems(problems: readonly Problem[]): void {
    this.#problems.push(...problems);
  }

  /** How many problems there are, of every table. */
  get count(): number {
    return this.#problems.length;
  }

  get problems(): Problem[] {
    return merged(inOrder(this.#problems));
  }

  get warnings(): Problem[] {
    return merged(inOrder(this.#warnings));
  }
}

/** In the order of the file's tables; what is said of the job as a whole, and of its servers, comes first as it was found. */
function inOrder(found: readonly Found[]): Found[] {
  const place = ({ path }: Found) => Number(/^tables\[(\d+)\]/.exec(path)?.[1] ?? -1);
  return [...found].sort((a, b) => place(a) - place(b));
}

/** Places named beside the first of a finding that is the same at many: a missing privilege on a schema is one, not one a table. */
const PLACES = 3;

/** Each text once, at its first place, with the other places behind it. */
function merged(found: readonly Found[]): Problem[] {
  const texts = new Map<string, Found[]>();
  for (const each of found) {
    const key = JSON.stringify([each.message, each.fix]);
    const same = texts.get(key);
    if (same) same.push(each);
    else texts.set(key, [each]);
  }
  return [...texts.values()].map(([first, ...others]) => {
    const { table, ...problem } = first!;
    const head = table === undefined || problem.message.includes(table) ? '' : `${table}: `;
    return { ...problem, message: `${head}${problem.message}${alsoAt(others)}` };
  });
}

function alsoAt(others: readonly Found[]): string {
  if (others.length === 0) return '';
  const places = [...new Set(others.map(({ path, table }) => table ?? /^tables\[\d+\]/.exec(path)?.[0] ?? path))];
  const shown = places.slice(0, PLACES);
  const more = places.length - shown.length;
  return ` (also ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''})`;
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
