import { readFile } from 'node:fs/promises';
import { jobInvalid } from '../core/errors.js';
import { parseYaml } from './yaml.js';

/**
 * Reads a job file, YAML or JSON, to the value that `parseJob` and `temporal workflow start --input` take. Throws JobInvalid for a file
 * that can't be read, and for a syntax error with its line and column.
 */
export async function readJobFile(path: string): Promise<unknown> {
  const { value, problems } = parseYaml(await readText(path));
  if (problems.length > 0) throw jobInvalid(problems.map((each) => ({ ...each, path: `${path}, ${each.path}` })));
  return value;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const message = code === 'ENOENT' ? 'there is no such file' : `the file can not be read (${code})`;
    throw jobInvalid([{ path, message, fix: '`longhaul init` writes a job.yaml to begin with' }]);
  }
}
