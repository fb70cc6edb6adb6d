import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What readers that we did not write are asked with: exact versions, so that a folder of them is for good. */
export const DELTA_RS = ['deltalake==1.6.6', 'pyarrow==26.0.1'];
export const DUCKDB = ['duckdb==1.4.4', 'duckdb-ext-delta==1.4.4.20260205'];

/** A Python that has these packages; installed once for a user, below ~/.cache/longhaul-tests. Answers with the path of its program. */
export async function pythonWith(packages: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
    .update(JSON.stringify([process.arch, ...packages]))
    .digest('hex')
    .slice(0, 16);
  const root = join(homedir(), '.cache', 'longhaul-tests');
  const folder = join(root, `python-${hash}`);
  if (!existsSync(folder)) await install(packages, folder, `${folder}.${process.pid}`);
  return join(folder, 'bin', 'python');
}

/** Beside its place until it is whole: two tests may install it at the same time. */
async function install(packages: readonly string[], folder: string, beside: string): Promise<void> {
  await mkdir(beside, { recursive: true });
  await run('python3', ['-m', 'venv', beside]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages];
  await run(join(beside, 'bin', 'python'), pip, { maxBuffer: 64 << 20 });
  await rename(beside, folder).catch(async (error: unknown) => {
    if (!existsSync(folder)) throw error;
    await rm(beside, { recursive: true });
  });
}

/**
 * Arrow's threads may still run when the interpreter takes Python down, and abort it then though the whole answer was printed
 * (apache/arrow#34314, huggingface/datasets#7566): leave as soon as it is.
 */
const LEAVE = 'import os, sys; sys.stdout.flush(); os._exit(0)';

/** Runs a program that prints one JSON value; `input` is in `sys.argv[1]`, as JSON. */
export async function askPython(python: string, program: string, input: unknown = null): Promise<unknown> {
  const { stdout } = await run(python, ['-c', `${program}\n${LEAVE}`, JSON.stringify(input)], { maxBuffer: 256 << 20 });
  return JSON.parse(stdout) as unknown;
}
