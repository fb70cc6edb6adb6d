import { readFileSync } from 'node:fs';
import { resolveReferences } from '../config/environment.js';
import { configPath, parseJob, readJobFile, type ParsedJob } from '../config/index.js';
import { parseYaml } from '../config/yaml.js';
import type { Context } from './context.js';

/** A job file as the workflow takes it, and as far as it can be understood without a server. */
export interface JobInput {
  /** The file as it stands, plus what the command line says of it: the input of copyJob. */
  readonly raw: unknown;
  readonly parsed: ParsedJob;
}

/** Options of a command that are keys of the job. */
export interface JobOptions {
  readonly resume?: string;
  readonly allowFewer?: boolean;
}

export async function readJobInput(file: string, { resume, allowFewer }: JobOptions): Promise<JobInput> {
  const content = await readJobFile(file);
  const isObject = typeof content === 'object' && content !== null && !Array.isArray(content);
  const keys = { ...(resume !== undefined && { resume }), ...(allowFewer === true && { allowFewer }) };
  const raw = isObject ? { ...content, ...keys } : content;
  return { raw, parsed: parseJob(raw) };
}

export const ALLOW_FEWER = [
  '--allow-fewer',
  'let a replace have fewer queries than its target was last published from',
] as const;

const DEFAULT_TASK_QUEUE = 'longhaul';

/**
 * The task queue of the workers: `--task-queue`, else what longhaul.yaml says if it is here, else `longhaul`. The file's
 * connections aren't looked at: whoever starts a job need not have their secrets.
 */
export function taskQueueOf(option: string | undefined, { config, env }: Context): string {
  if (option !== undefined) return option;
  try {
    const { value } = parseYaml(readFileSync(configPath(config, env), 'utf8'));
    const { worker } = (value ?? {}) as { worker?: { taskQueue?: unknown } };
    const named = resolveReferences(worker?.taskQueue, env).value;
    return typeof named === 'string' && named !== '' ? named : DEFAULT_TASK_QUEUE;
  } catch {
    // No file here, which is fine, or one that the worker will complain about.
    return DEFAULT_TASK_QUEUE;
  }
}
