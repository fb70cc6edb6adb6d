import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolderOnce } from '../../src/devstack/cache.js';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';

let folder: string;

beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'longhaul-supervised-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Starts a shell script as a server. */
function start(script: string): Promise<Supervised> {
  return spawnSupervised('/bin/sh', ['-c', script], {
    logFile: join(folder, 'log'),
    cwd: folder,
    stopSignal: 'SIGTERM',
    graceMs: 500,
  });
}

async function until(condition: () => boolean | Promise<boolean>, ms = 5_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not so within ${ms} ms`);
    await sleep(20);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The supervisor's pid: the parent of the server. Linux only. */
async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

test("the server's output and exit code are told", async () => {
  const server = await start('echo out; echo err >&2; exit 3');
  expect(await server.exited).toEqual({ code: 3, signal: null });
  expect(server.exit()).toEqual({ code: 3, signal: null });
  expect(await server.logged()).toBe('out\nerr\n');
  expect(await server.stop()).toEqual({ code: 3, signal: null });
});

test('stop sends the stop signal, or the one that is named', async () => {
  const trap = "trap 'exit 7' TERM; trap 'exit 8' INT; echo ready; while :; do sleep 0.05; done";
  for (const [signal, code] of [
    [undefined, 7],
    ['SIGINT', 8],
  ] as const) {
    const server = await start(trap);
    await until(async () => (await server.logged()).includes('ready'));
    expect((await server.stop(signal)).code).toBe(code);
  }
});

test('a server that does not listen is killed after the grace time', async () => {
  const server = await start("trap '' TERM; echo ready; while :; do sleep 0.05; done");
  await until(async () => (await server.logged()).includes('ready'));
  expect((await server.stop()).signal).toBe('SIGKILL');
});

test('a program that is not there is an error, not an exit', async () => {
  const options = { logFile: join(folder, 'log'), cwd: folder, stopSignal: 'SIGTERM', graceMs: 1 } as const;
  await expect(spawnSupervised('/no/such/program', [], options)).rejects.toThrow(
    /Can't start \/no\/such\/program: .*ENOENT/,
  );
});

test.runIf(process.platform === 'linux')('if the supervisor is killed, its server is too', async () => {
  const server = await start('exec sleep 60');
  process.kill(await parentOf(server.pid), 'SIGKILL');
  expect((await server.exited).signal).toBe('SIGKILL');
  await until(() => !isAlive(server.pid));
});

test('if the process that started it is killed, the server ends', async () => {
  // The parent is a plain Node process that talks to bin/supervise.js as spawnSupervised does.
  const order = { command: '/bin/sh', args: ['-c', 'exec sleep 60'], cwd: folder, stopSignal: 'SIGTERM', graceMs: 500 };
  const source = `
    const child = require('node:child_process').spawn(process.execPath,
      [${JSON.stringify(join(process.cwd(), 'bin/supervise.js'))}, ${JSON.stringify(JSON.stringify(order))}],
      { detached: true, stdio: ['pipe', 'ignore', 'ignore', 'pipe'] });
    child.stdio[3].pipe(process.stdout);`;
  const parent = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [report] = (await parent.stdout.setEncoding('utf8').take(1).toArray()) as string[];
  const { pid } = JSON.parse(report!) as { pid: number };
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(pid));
});

test('of two that make a folder at once one wins, and nothing else is left', async () => {
  const target = join(folder, 'cache', 'thing');
  const fill = () => sleep(50);
  expect(await Promise.all([makeFolderOnce(target, fill), makeFolderOnce(target, fill)])).toEqual([target, target]);
  await expect(makeFolderOnce(join(folder, 'cache', 'bad'), () => Promise.reject(new Error('full')))).rejects.toThrow(
    'full',
  );
  expect(await readdir(join(folder, 'cache'))).toEqual(['thing']);
});
