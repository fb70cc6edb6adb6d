import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const quiet = () => undefined;

/**
 * The workflows of the sources as one file, bundled once for all test files: it is called by what it is made of, so that no change of
 * them meets an older one.
 */
export async function workflowBundle(): Promise<{ codePath: string }> {
  const codePath = join(tmpdir(), `longhaul-test-workflows-${await hashOf(await sources())}.js`);
  if (existsSync(codePath)) return { codePath };
  const logger = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({ workflowsPath: join(ROOT, 'workflows/index.ts'), logger });
  const whole = `${codePath}.${process.pid}`;
  await writeFile(whole, code);
  await rename(whole, codePath);
  return { codePath };
}

async function sources(): Promise<string[]> {
  const folders = ['workflows', 'src/core'];
  const names = await Promise.all(
    folders.map(async (folder) => (await readdir(join(ROOT, folder))).map((name) => join(folder, name))),
  );
  return [
    'package-lock.json',
    ...names
      .flat()
      .filter((name) => name.endsWith('.ts'))
      .sort(),
  ];
}

async function hashOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(await readFile(join(ROOT, file)));
  return hash.digest('hex').slice(0, 24);
}
