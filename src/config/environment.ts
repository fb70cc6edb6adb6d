import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'dotenv';
import { located, pathText, type Located } from './problems.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `--config`, else `LONGHAUL_CONFIG`, else `longhaul.yaml` in the working directory. */
export function configPath(option: string | undefined, env: Environment): string {
  return option ?? (env.LONGHAUL_CONFIG || 'longhaul.yaml');
}

/** The environment, with what the `.env` beside the configuration adds to it. The real environment always wins. */
export function environmentBeside(file: string, env: Environment): Environment {
  return { ...readDotenv(join(dirname(file), '.env')), ...env };
}

function readDotenv(path: string): Environment {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** Puts the values of `${NAME}` references into every text of a parsed file. `$${NAME}` stands for `${NAME}` itself. */
export function resolveReferences(value: unknown, env: Environment): { value: unknown; problems: Located[] } {
  const problems: Located[] = [];
  const walk = (node: unknown, path: readonly PropertyKey[]): unknown => {
    if (typeof node === 'string')
      return resolveText(node, env, (message, fix) => problems.push(located(path, message, fix)));
    if (Array.isArray(node)) return node.map((item, index) => walk(item, [...path, index]));
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, walk(item, [...path, key])]));
  };
  return { value: walk(value, []), problems };
}

function resolveText(text: string, env: Environment, complain: (message: string, fix: string) => void): string {
  return text.replace(/\$?\$\{([^}]*)\}?/g, (reference: string, name: string) => {
    if (reference.startsWith('$$')) return reference.slice(1);
    if (!reference.endsWith('}') || !/^\w+$/.test(name)) {
      complain('holds a ${…} that is not a reference', 'write ${NAME}, or $${ where ${ itself is meant');
      return '';
    }
    if (env[name]) return env[name];
    const state = env[name] === undefined ? 'is not set' : 'is set but empty';
    complain(`the environment variable ${name} ${state}`, `set ${name} in the environment or in .env beside this file`);
    return '';
  });
}

/** Drops problems at places that are already known to lack their variable: there the value is not what the file says. */
export function withoutPlacesOf(known: readonly Located[], problems: readonly Located[]): Located[] {
  const places = new Set(known.map(({ path }) => pathText(path)));
  return problems.filter(({ path }) => !places.has(pathText(path)));
}
