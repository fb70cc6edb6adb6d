import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres } from '../../src/devstack/postgres.js';
import { removePostgresData } from '../../src/devstack/postgres-data.js';
import { findTemporalCli } from '../../src/devstack/temporal-cli.js';
import { startTemporalServer } from '../../src/devstack/temporal-server.js';
import { runSql, startOwnPostgres, startTestPostgres } from '../support/postgres.js';
import { startTestTemporal } from '../support/temporal.js';

const run = promisify(execFile);
const quiet = () => undefined;
let folder: string;

beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'longhaul-devstack-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Whether somebody listens there. */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2_000 });
    const done = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket
      .on('connect', () => done(true))
      .on('error', () => done(false))
      .on('timeout', () => done(false));
  });
}

describe('embedded Postgres', () => {
  test('keeps data and password over an orderly restart and a crash', async () => {
    const { server, dataDir, remove } = await startOwnPostgres({ durable: true });
    await runSql(server.url(), 'CREATE TABLE kept AS SELECT 1 AS n');
    await server.stop();
    const again = await startPostgres({ dataDir, log: quiet });
    await runSql(again.url(), 'INSERT INTO kept VALUES (2)');
    await again.stop({ mode: 'immediate' });
    const third = await startPostgres({ dataDir, log: quiet });
    expect(await runSql(third.url(), 'SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
    await third.stop();
    await remove();
  });

  test('is closed to others: a password for all, loopback only, no socket, private files', async () => {
    const { server, dataDir, remove } = await startOwnPostgres();
    const wrong = server.url().replace(/:[0-9a-f]+@/, ':wrong@');
    await expect(runSql(wrong, 'SELECT 1')).rejects.toThrow('password authentication failed');
    const outside = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .find(({ internal }) => !internal);
    if (outside) expect(await answers(outside.address, server.port)).toBe(false);
    const [settings] = await runSql(server.url(), "SELECT current_setting('unix_socket_directories') AS sockets");
    expect(settings).toEqual({ sockets: '' });
    for (const [file, mode] of [
      ['password', 0o600],
      ['cluster', 0o700],
    ] as const)
      expect((await stat(join(dataDir, file))).mode & 0o777).toBe(mode);
    await remove();
  });

  test('takes settings, and stores text as UTF-8 sorted by code point', async () => {
    const { server, remove } = await startOwnPostgres({ settings: { work_mem: '9MB' } });
    const [row] = await runSql(
      server.url(),
      `SELECT current_setting('work_mem') AS mem, current_setting('server_encoding') AS encoding,
              'Z' < 'a' AS by_code_point, lower('ÄÖÜ') AS lower`,
    );
    expect(row).toEqual({ mem: '9MB', encoding: 'UTF8', by_code_point: true, lower: 'äöü' });
    await remove();
  });

  test.runIf(process.getuid?.() === 0)(
    "started by root in root's own folder, keeps its data where it may go",
    async () => {
      const dataDir = join(folder, 'closed', 'data'); // mkdtemp's folders are closed to others, as /root is.
      const logged: string[] = [];
      const start = () => startPostgres({ dataDir, durable: false, log: (line) => void logged.push(line) });
      const first = await start();
      await runSql(first.url(), 'CREATE TABLE kept ()');
      await first.stop();
      const second = await start();
      expect(await runSql(second.url(), 'SELECT * FROM kept')).toEqual([]);
      await second.stop();
      expect(logged).toEqual([expect.stringContaining("Postgres can't enter")]);
      const real = await realpath(dataDir);
      await removePostgresData(dataDir);
      expect([existsSync(dataDir), existsSync(real)]).toEqual([false, false]);
    },
  );

  test('a start that fails says what Postgres said and where its log is', async () => {
    const { server, dataDir, remove } = await startOwnPostgres();
    const failing = startPostgres({ dataDir, settings: { shared_buffers: 'plenty' }, log: quiet });
    await expect(failing).rejects.toThrow(
      /Postgres did not start: it ended at once\.[^]*shared_buffers[^]*postgres\.log/,
    );
    await expect(startPostgres({ dataDir, log: quiet })).rejects.toThrow(/postmaster\.pid/);
    expect(await runSql(server.url(), 'SELECT 1 AS still')).toEqual([{ still: 1 }]);
    await remove();
  });
});

describe('Temporal dev server', () => {
  test('keeps its workflows over a restart, and has a web UI', async () => {
    const dbFile = join(folder, 'db', 'temporal.db');
    const options = { dbFile, searchAttributes: { LonghaulTable: 'Keyword' }, log: quiet };
    const first = await startTemporalServer(options);
    const start = ['workflow', 'start', '--task-queue', 'none', '--type', 'copyJob', '--workflow-id', 'kept-job'];
    await run(first.cli, [...start, '--search-attribute', 'LonghaulTable="t"', '--address', first.address]);
    expect((await fetch(first.uiUrl!)).status).toBe(200);
    await first.stop();

    const second = await startTemporalServer({ ...options, headless: true });
    const list = await run(second.cli, ['workflow', 'describe', '-w', 'kept-job', '--address', second.address]);
    expect(list.stdout).toContain('kept-job');
    expect(second.uiUrl).toBeUndefined();
    await second.stop();
    expect(await answers('127.0.0.1', Number(second.address.split(':')[1]))).toBe(false);
  });

  test('a start that fails says what Temporal said', async () => {
    const { address } = await startTestTemporal();
    const port = Number(address.split(':')[1]);
    const failing = startTemporalServer({ dbFile: join(folder, 'other.db'), port, log: quiet });
    await expect(failing).rejects.toThrow(`Port ${port} for Temporal is taken by another program.`);
    const options = { dbFile: join(folder, 'other.db'), searchAttributes: { Bad: 'NoSuchType' }, log: quiet };
    await expect(startTemporalServer(options)).rejects.toThrow(
      /Temporal did not start: it ended at once[^]*NoSuchType[^]*other\.db\.log/,
    );
  });
});

test('the Temporal CLI is found for real', async () => {
  const { path } = await findTemporalCli({ log: quiet });
  expect((await run(path, ['--version'])).stdout).toContain('temporal version');
});

test("the test servers: a database of one's own, a client", async () => {
  const postgres = await startTestPostgres('destination');
  const url = await postgres.createDatabase('devstack own');
  expect(await runSql(url, 'SELECT current_database() AS name')).toEqual([{ name: 'devstack own' }]);
  await postgres.stop();
  await expect(runSql(url, 'SELECT 1')).rejects.toThrow('does not exist');
  const temporal = await startTestTemporal();
  const { namespaceInfo } = await temporal.client.workflowService.describeNamespace({ namespace: temporal.namespace });
  expect(namespaceInfo?.name).toBe('default');
  await temporal.stop();
});
