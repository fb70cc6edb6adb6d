import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runTemporalCli } from '../../src/devstack/temporal-run.js';

let folder: string;

beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'longhaul-run-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs a stand-in for the CLI: a shell script that may use $OUT. */
async function runScript(script: string, args: string[] = []): Promise<number> {
  const cli = join(folder, 'temporal');
  await writeFile(cli, `#!/bin/sh\n[ "$1" = --version ] && exit 0\n${script}\n`);
  await chmod(cli, 0o755);
  const env = { PATH: process.env.PATH, LONGHAUL_TEMPORAL_CLI: cli, OUT: join(folder, 'out') };
  return runTemporalCli(args, { env });
}

test('arguments are passed as they are, and the exit code comes back', async () => {
  const code = await runScript('for word; do echo "<$word>"; done >$OUT; exit 42', [
    'workflow',
    'list',
    '-q',
    "a 'b' $c",
  ]);
  expect(code).toBe(42);
  expect(readFileSync(join(folder, 'out'), 'utf8')).toBe("<workflow>\n<list>\n<-q>\n<a 'b' $c>\n");
});

test('signals are passed on, and an end by a signal is told as shells do', async () => {
  const before = process.listenerCount('SIGTERM');
  const ended = runScript("trap 'exit 5' TERM; touch $OUT; while :; do sleep 0.05; done");
  while (!existsSync(join(folder, 'out'))) await sleep(20);
  process.emit('SIGTERM', 'SIGTERM');
  expect(await ended).toBe(5);
  expect(process.listenerCount('SIGTERM')).toBe(before);
  expect(await runScript('kill -KILL $$')).toBe(128 + 9);
});
