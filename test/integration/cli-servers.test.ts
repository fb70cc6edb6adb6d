import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testServers } from '../support/servers.js';
import { until } from '../support/workflows.js';

/** `worker` and `dev` as a person starts them: they begin, say what is wrong, and end whole. */

const SECRET = 'hunter2hunter2';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-dev-'));
  const connection = `{type: postgres, url: "postgres://reader:${SECRET}@127.0.0.1:1/shop"}`;
  await writeFile(join(folder, 'longhaul.yaml'), `connections:\n  shop: ${connection}\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { temporal } = testServers();
  const child = spawn(process.execPath, [resolve('bin/longhaul.js'), ...args], {
    cwd: folder,
    env: { ...process.env, LONGHAUL_TEMPORAL_CLI: temporal.cli, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((done) => child.on('close', done));
  return { child, ended, said: () => said };
}

test.each([
  [
    'a namespace that is not there',
    () => ({ TEMPORAL_ADDRESS: testServers().temporal.address, TEMPORAL_NAMESPACE: 'nope' }),
    2,
    /has no namespace "nope"/,
  ],
  [
    'an address where nobody is',
    () => ({ TEMPORAL_ADDRESS: '127.0.0.1:1' }),
    1,
    /Temporal does not answer at 127\.0\.0\.1:1/,
  ],
  ['a profile that is not there', () => ({ TEMPORAL_PROFILE: 'nope' }), 2, /there is no profile "nope"/],
] as const)('a worker with %s ends with a sentence', async (_, env, code, sentence) => {
  const worker = start(['worker'], env());
  expect(await worker.ended).toBe(code);
  expect(worker.said()).toMatch(sentence);
  expect(worker.said()).not.toMatch(/^ +at /m);
  expect(worker.said()).not.toContain(SECRET);
});

test('dev starts Temporal and a worker, replaces a worker that was killed, and ends both at Ctrl-C', async () => {
  // As on a machine whose environment points elsewhere: dev's own worker must not follow it.
  const dev = start(['dev', '--port', '0', '--ui-port', '0'], {
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    TEMPORAL_API_KEY: SECRET,
  });
  await until(() => dev.said().includes('In another terminal:') || dev.child.exitCode !== null);
  const address = /Temporal {2}(127\.0\.0\.1:\d+)/.exec(dev.said())![1]!;
  expect(dev.said()).toContain(`--address ${address}`);

  const connection = await Connection.connect({ address });
  process.kill(await workerPid(connection), 'SIGKILL');
  await until(() => dev.said().includes('The worker was killed (SIGKILL); another is started.'));
  await connection.close();

  dev.child.kill('SIGINT');
  expect(await dev.ended).toBe(0);
  await expect(Connection.connect({ address, connectTimeout: 500 })).rejects.toThrow();
  expect(dev.said()).not.toContain(SECRET);
});

/** From the identity that workers poll with: `longhaul PID@HOST`. */
async function workerPid({ workflowService }: Connection): Promise<number> {
  const { pollers } = await workflowService.describeTaskQueue({
    namespace: 'default',
    taskQueue: { name: 'longhaul' },
  });
  return Number(/^longhaul (\d+)@/.exec(pollers[0]!.identity ?? '')![1]);
}
