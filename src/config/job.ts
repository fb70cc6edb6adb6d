import type { Problem } from '../core/errors.js';
import type { CompiledJob } from './compiled-job.js';
import { compileJob } from './job-compile.js';
import { exclusions } from './job-exclusions.js';
import { jobSchema } from './job-schema.js';
import { inFileOrder, kindOf, schemaProblems, toProblem, type Located } from './problems.js';

/**
 * The job file, raw → compiled → expanded. `parseJob` needs nothing but the file; `expandTables` (expand.ts) asks the source what
 * its patterns match. Problems are gathered over both, and only a job without any becomes a `Job`.
 */

export interface ParsedJob {
  /**
   * What could be understood, without the keys and entries that have problems: there to be checked against the servers, so that
   * all problems are found at once. Absent when name, source, destination or every table is wrong.
   */
  readonly compiled?: CompiledJob;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Reads a job as parsed from YAML or JSON, or as a workflow's input. Never throws; no value of the file is in a problem's text. */
export function parseJob(raw: unknown): ParsedJob {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return { problems: [notAJob(raw)], warnings: [] };
  const wrong = [...schemaProblems(jobSchema, raw)];
  wrong.push(...exclusions(raw, wrong));
  const parsed = jobSchema.safeParse(withoutPlaces(raw, wrong));
  if (!parsed.success) return { problems: inFileOrder(wrong, raw).map(toProblem), warnings: [] };
  const kept = keptEntries(raw, wrong);
  const { compiled, problems, warnings } = compileJob(parsed.data, kept);
  return {
    compiled,
    problems: inFileOrder([...wrong, ...problems], raw).map(toProblem),
    warnings: warnings.map(toProblem),
  };
}

function notAJob(raw: unknown): Problem {
  const fix = 'write keys: name, source, destination, tables (as input of a workflow: one JSON object)';
  return { path: '', message: `the job is ${raw === undefined || raw === null ? 'empty' : kindOf(raw)}`, fix };
}

/** A copy of the file without the entries and keys that have problems. */
function withoutPlaces(raw: object, wrong: readonly Located[]): unknown {
  const copy = structuredClone(raw) as Record<string, unknown>;
  for (const { path } of wrong) if (path[0] !== 'tables') removeAt(copy, path);
  const { tables } = raw as { tables?: unknown };
  if (Array.isArray(tables)) copy.tables = keptEntries(raw, wrong).map((index) => (tables as unknown[])[index]);
  return copy;
}

function removeAt(root: Record<string, unknown>, path: readonly PropertyKey[]): void {
  const [first, second] = path.map(String);
  const inner = root[first!];
  if (second !== undefined && typeof inner === 'object' && inner !== null) Reflect.deleteProperty(inner, second);
  else Reflect.deleteProperty(root, first!);
}

/** Indices of the entries without a problem. */
function keptEntries(raw: object, wrong: readonly Located[]): number[] {
  const { tables } = raw as { tables?: unknown };
  const bad = new Set(wrong.filter(({ path }) => path[0] === 'tables').map(({ path }) => path[1]));
  if (!Array.isArray(tables) || bad.has(undefined)) return [];
  return [...tables.keys()].filter((index) => !bad.has(index));
}
