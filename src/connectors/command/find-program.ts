import { accessSync, constants, statSync, type Stats } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import type { CommandConnectionConfig } from './config.js';
import { baseEnvironment } from './request.js';

/** What keeps a program from being started here, in words; undefined when nothing is seen that does. */
export function whyNotStarted({
  run: [program],
  cwd,
  env,
}: Pick<CommandConnectionConfig, 'run' | 'cwd' | 'env'>): string | undefined {
  if (!isFolder(cwd)) return `its working folder ${cwd} is not there`;
  if (program.includes('/')) return whyNotExecutable(resolve(cwd, program), `"${program}" (seen from ${cwd})`);
  const { PATH = '' } = baseEnvironment(env);
  const found = PATH.split(delimiter).some((folder) => isExecutable(resolve(cwd, folder, program)));
  return found ? undefined : `there is no program "${program}" in its PATH`;
}

function whyNotExecutable(path: string, shown: string): string | undefined {
  if (isExecutable(path)) return undefined;
  return isFile(path) ? `${shown} may not be executed` : `there is no file ${shown}`;
}

/** Whether a tool of the system is where this process looks for programs. */
export function hasTool(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(resolve(folder, name)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path);
  } catch {
    return false;
  }
}

function isFile(path: string): boolean {
  return statOf(path)?.isFile() ?? false;
}

function isFolder(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** Undefined for what is not there, and for what can't be looked at. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
