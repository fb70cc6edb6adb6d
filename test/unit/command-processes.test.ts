import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommandConnectionConfig } from '../../src/connectors/command/config.js';
import { makeFifos } from '../../src/connectors/command/fifo.js';
import { createCommandConnector } from '../../src/connectors/command/index.js';
import { processFacts } from '../../src/connectors/command/processes.js';
import { allOf, Commands, onQuery, processesWith } from '../support/command.js';

let commands: Commands;
beforeEach(async () => (commands = await Commands.make()));
afterEach(async () => {
  expect(await commands.left()).toEqual([]);
  expect(commands.alive()).toEqual([]);
  await commands[Symbol.asyncDispose]();
});

const shell = (script: string, over: Partial<CommandConnectionConfig> = {}) =>
  commands.shell(script, { env: { MARK: commands.folder }, ...over });

/** Starts a query, and waits until the program has made this file. */
async function started(config: CommandConnectionConfig, file: string) {
  const opened = await commands.open(config);
  const { record, partition } = onQuery();
  const stream = await opened.session.stream(record, partition);
  const reading = allOf(stream);
  reading.catch(() => undefined);
  await commands.until(file, () => existsSync(commands.at(file)));
  return { ...opened, reading, stream };
}

describe('an aborted attempt', () => {
  it.each(['pipe', 'files', 'stdout'] as const)('asks all of the group to end first: %s', async (output) => {
    const script = `trap 'echo child >> ended; exit' TERM; touch started; while :; do sleep 0.05; done`;
    const program = `sh -c "${script}" & trap 'wait; echo program >> ended; exit' TERM; while :; do sleep 0.05; done`;
    const { session, abort, reading } = await started(shell(program, { output }), 'started');
    const reason = new Error('cancelled');
    abort.abort(reason);
    await expect(reading).rejects.toBe(reason);
    await session[Symbol.asyncDispose]();
    expect((await readFile(commands.at('ended'), 'utf8')).split('\n').sort()).toEqual(['', 'child', 'program']);
  });

  it('ends what does not want to, and waits until it is gone', async () => {
    const stubborn = `import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() and os.fork(): open('started', 'w').close()
time.sleep(600)`;
    await commands.program('stubborn.py', stubborn);
    const config = commands.config({ run: ['python3', 'stubborn.py'], env: { MARK: commands.folder }, stopGrace: 200 });
    const { session, abort } = await started(config, 'started');
    expect(commands.alive()).toHaveLength(3);
    abort.abort(new Error('cancelled'));
    await session[Symbol.asyncDispose]();
    expect(commands.alive()).toEqual([]);
  });

  it('is one too when it is disposed of in the middle', async () => {
    const { session, reading } = await started(shell('touch started; yes 1,a > "$LONGHAUL_OUT"'), 'started');
    await session[Symbol.asyncDispose]();
    await expect(reading).rejects.toThrow();
  });

  it('starts nothing when it was aborted before', async () => {
    const { session, abort } = await commands.open(shell('touch started'));
    const reason = new Error('cancelled');
    abort.abort(reason);
    const { record, partition } = onQuery();
    await expect(session.stream(record, partition)).rejects.toBe(reason);
    await session[Symbol.asyncDispose]();
    expect(existsSync(commands.at('started'))).toBe(false);
  });
});

describe('a program that ended', () => {
  it('leaves no child behind', async () => {
    const { rows } = await commands.read(shell('sleep 600 & echo 1,a > "$LONGHAUL_OUT"'));
    expect(rows).toEqual(['1,a']);
    expect(commands.alive()).toEqual([]);
  });

  it('is not waited for because of a zombie that nobody asks for its exit code', async () => {
    // A process outside the group never asks for its child's, which is in it.
    const script = `import os, time
if os.fork() == 0:
    child = os.fork()
    if child == 0: os._exit(0)
    os.setsid()
    open('daemon', 'w').write(f'{os.getpid()} {child}')
    time.sleep(600)
while not os.path.exists('daemon') or os.path.getsize('daemon') == 0: time.sleep(0.01)`;
    await commands.program('daemon.py', script);
    const config = commands.config({
      run: ['python3', 'daemon.py'],
      env: { MARK: commands.folder },
      stopGrace: 60_000,
    });
    await commands.read(config);
    const [daemon, zombie] = (await readFile(commands.at('daemon'), 'utf8')).split(' ').map(Number);
    expect(processFacts(zombie!)?.state).toBe('Z');
    process.kill(daemon!, 'SIGKILL');
    await commands.until('the end of the daemon', () => commands.alive().length === 0);
  });
});

describe('maxProcesses', () => {
  it('is kept by waiting, which an abort ends', async () => {
    const connector = createCommandConnector(shell('touch "$LONGHAUL_QUERY_ID"; sleep 0.2', { maxProcesses: 1 }));
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => commands.open(connector)));
    await first!.session.admitted?.();
    const waiting = second!.session.admitted?.();
    const reason = new Error('cancelled');
    const given = third!.session.admitted?.();
    third!.abort.abort(reason);
    await expect(given).rejects.toBe(reason);
    const { record, partition } = onQuery({ id: 'a' });
    await allOf(await first!.session.stream(record, partition));
    await first!.session[Symbol.asyncDispose]();
    await waiting;
    for (const { session } of [second!, third!]) await session[Symbol.asyncDispose]();
  });
});

describe('memory', () => {
  it('stays bounded while the program writes faster than it is read', async () => {
    const { session } = await commands.open(
      shell('yes 1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > "$LONGHAUL_OUT"'),
    );
    await using _ = session;
    const { record, partition } = onQuery({ format: 'csv' });
    const stream = await session.stream(record, partition);
    const before = process.memoryUsage().rss;
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      if ((bytes += chunk.length) > 1e6) break;
      await new Promise((done) => setTimeout(done, 20));
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});

/** bin/reap.js as a worker starts it. `end` closes its lifeline, as the worker's death does, and waits for its end. */
function reaper(): { process: ChildProcess; tell: (line: object) => void; end: () => Promise<void> } {
  const child = spawn(process.execPath, [resolve('bin/reap.js')], { stdio: ['pipe', 'ignore', 'inherit'], env: {} });
  return {
    process: child,
    tell: (line) => void child.stdin.write(`${JSON.stringify(line)}\n`),
    async end() {
      child.stdin.end();
      await once(child, 'close');
    },
  };
}

/** SIGHUP is the last of the signals that bin/reap.js takes, and no Node process catches it by itself. */
function catchesSighup(pid: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}

describe('when a worker is gone', () => {
  /** A group as the connector makes one. */
  async function group(script: string) {
    const child = spawn('sh', ['-c', script], {
      ...{ cwd: commands.folder, detached: true, stdio: 'ignore', env: { ...process.env, MARK: commands.folder } },
    });
    await commands.until('started', () => existsSync(commands.at('started')));
    return { id: child.pid!, started: processFacts(child.pid!)!.started };
  }

  async function attemptFolder(): Promise<string> {
    const path = commands.at('tmp/run/table/query/attempt');
    await mkdir(path, { recursive: true });
    await writeFile(`${path}/rows`, 'x');
    return path;
  }

  it('its programs end, politely and then not, and their folders go', async () => {
    const polite = `sh -c 'trap "echo > polite; exit" TERM; touch started; while :; do sleep 0.05; done' & trap '' TERM; sleep 600`;
    const [{ tell, end }, path] = [reaper(), await attemptFolder()];
    tell({ id: 1, path, parents: 3, graceMs: 500, group: await group(polite) });
    await end();
    await commands.until('their end', () => commands.alive().length === 0);
    expect(existsSync(commands.at('polite'))).toBe(true);
    expect(existsSync(commands.tmpDir) && (await readdir(commands.tmpDir))).toEqual([]);
  });

  it('another process that has got the number of one is left alone', async () => {
    const { tell, end } = reaper();
    const other = await group('touch started; sleep 600');
    tell({ id: 1, path: commands.at('nowhere'), parents: 0, graceMs: 100, group: { id: other.id, started: '1' } });
    await end();
    expect(processesWith(`=${commands.folder}`)).toContain(other.id);
    process.kill(-other.id, 'SIGKILL');
    await commands.until('its end', () => commands.alive().length === 0);
  });

  it('what it has seen to itself is left alone, and a signal to all its processes ends no reaper', async () => {
    const [{ process: child, tell, end }, path] = [reaper(), await attemptFolder()];
    tell({ id: 1, path, parents: 3, graceMs: 100 });
    tell({ id: 1 });
    tell({ id: 2, path: `${path}/rows`, parents: 0, graceMs: 100 });
    await commands.until('its handlers', () => catchesSighup(child.pid!));
    child.kill('SIGTERM');
    await end();
    expect(await readdir(path)).toEqual([]);
    const { session } = await commands.open(shell('true'));
    await session[Symbol.asyncDispose]();
    await (await import('../../src/connectors/command/remove.js')).removeAttempt(path);
  });

  it('the next one sweeps what it left, and nothing of others', async () => {
    await commands.read(shell('true'));
    const workers = commands.at('tmp/.workers');
    const [own] = await readdir(workers);
    const [boot, host] = own!.split('-');
    const names = {
      dead: `${boot}-00000000-aaaaaaaa`,
      rebooted: `00000000-${host}-bbbbbbbb`,
      elsewhere: '00000000-11111111-cccccccc',
    };
    const second = commands.at('second');
    await mkdir(`${second}/.workers`, { recursive: true });
    for (const owner of Object.values(names)) {
      await makeFifos([`${second}/.workers/${owner}`]);
      await mkdir(`${second}/run/table/${owner}/attempt-1-${owner}-7/files`, { recursive: true });
    }
    await commands.read(shell('true', { tmpDir: second }));
    expect(await readdir(`${second}/run/table`)).toEqual([names.elsewhere]);
    expect(
      (await readdir(`${second}/.workers`)).filter((name) => name === names.dead || name === names.rebooted),
    ).toEqual([]);
    expect(await readdir(`${second}/.workers`)).toContain(names.elsewhere);
  });
});
