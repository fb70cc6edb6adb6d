import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkJob } from '../../activities/check.js';
import { createDeltaConnector } from '../../src/connectors/delta/index.js';
import { createMemoryConnector } from '../../src/connectors/memory/index.js';
import type { StoreLocation } from '../../src/connectors/objects/location.js';
import type { Connector } from '../../src/connectors/types.js';
import { formatProblems } from '../../src/core/errors.js';
import { attemptOf } from '../support/checking.js';
import { startFakeS3 } from '../support/fake-s3.js';
import { quiet } from '../support/store.js';

async function check(location: StoreLocation): Promise<string> {
  const config = { type: 'delta', name: 'lake', location, compression: 'zstd' } as const;
  const connectors = new Map<string, Connector>([
    ['shop', createMemoryConnector({ name: 'shop', server: 'check-lake' })],
    ['lake', createDeltaConnector({ ...config, targetFileSize: 1e8, outOfRange: 'error' })],
  ]);
  const job = { name: 'nightly', source: 'shop', destination: 'lake', tables: ['sales.orders'] };
  const { problems } = await checkJob({ connectors, log: quiet }, job, attemptOf(), { tell: 'everything' });
  return formatProblems(problems);
}

it('a lake that does not answer is one of the problems, and the source is still asked', async () => {
  const server = await startFakeS3({ failure: { status: 403, code: 'SignatureDoesNotMatch' } });
  const credentials = { accessKeyId: 'a', secretAccessKey: 'wrong' };
  const problems = await check({ kind: 's3', bucket: 'lake', prefix: '', endpoint: server.endpoint, credentials });
  server.stop();
  const [lake, table, ...others] = problems.split('\n');
  expect(lake).toMatch(/^destination: connection lake \(bucket lake\), writing \S+: the endpoint refused the sign-in/);
  expect(table).toMatch(/^tables\[0\].*sales\.orders/);
  expect(others).toEqual([]);
});

it('so is a path that leads through a file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-check-'));
  await writeFile(join(folder, 'file'), '');
  const problems = await check({ kind: 'local', path: join(folder, 'file', 'lake') });
  await rm(folder, { recursive: true });
  expect(problems).toMatch(/^destination: .*: a part of the path is not a folder, and none can be made there — /);
  expect(problems.split('\n')).toHaveLength(2);
});
