import { afterEach, describe, expect, it } from 'vitest';
import type { LonghaulError } from '../../src/core/errors.js';
import { probeStore } from '../../src/connectors/objects/probe.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import { code } from '../contract/fixture.js';
import { startFakeS3, type FakeS3, type FakeS3Options } from '../support/fake-s3.js';
import { storeAt } from '../support/store.js';

const SECRETS = { accessKeyId: 'AKIDPLAINTEXT', secretAccessKey: 'hunter2hunter2', sessionToken: 'tokentokentoken' };

let server: FakeS3;
afterEach(() => server.stop());

async function fake(options: FakeS3Options): Promise<OpenStore> {
  server = await startFakeS3(options);
  return storeAt({ kind: 's3', bucket: 'lake', prefix: 'x', endpoint: server.endpoint, credentials: SECRETS });
}

describe('the probe', () => {
  it('finds nothing where both conditions are honoured, and leaves nothing', async () => {
    await probeStore(await fake({ ifNoneMatch: true, ifMatch: true }), 'lake');
    expect([...server.objects.keys()]).toEqual([]);
  });

  it.each<[string, FakeS3Options, string]>([
    ['neither condition', {}, 'creates an object where there is one already'],
    ['If-Match alone', { ifMatch: true }, 'creates an object where there is one already'],
    ['If-None-Match alone', { ifNoneMatch: true }, 'replaces an object that another one has replaced'],
  ])('refuses an endpoint that honours %s, and leaves nothing', async (_, options, message) => {
    const refusal = expect(probeStore(await fake(options), 'lake')).rejects;
    await refusal.toMatchObject({
      code: 'ServerUnsuitable',
      message: expect.stringContaining('Connection lake: ') as string,
    });
    await expect(probeStore(await fake(options), 'lake')).rejects.toThrow(message);
    expect([...server.objects.keys()]).toEqual([]);
  });

  it('says what it could not do first, not that it could not remove what is not there', async () => {
    const store = await fake({ failure: { status: 403, code: 'AccessDenied' } });
    await expect(probeStore(store, 'lake')).rejects.toThrow('Connection lake (bucket lake), writing _longhaul/probe/');
  });

  it('refuses an endpoint that does not know conditions', async () => {
    const store = await fake({ failure: { status: 501, code: 'NotImplemented' } });
    await expect(probeStore(store, 'lake')).rejects.toEqual(code('ServerUnsuitable'));
  });
});

it('an upload that is not known when its end is asked for again is finished when its object is whole', async () => {
  await using writer = await (await fake({})).create('file');
  const size = 9 * 1024 * 1024;
  await writer.write(Buffer.alloc(size));
  expect(await writer.finish()).toBe(size);
  expect(server.objects.get('/lake/x/file')).toHaveLength(size);
});

describe('errors of S3', () => {
  it.each<[number, string, LonghaulError['code']]>([
    [403, 'AccessDenied', 'PermissionDenied'],
    [403, 'InvalidAccessKeyId', 'ConnectionFailed'],
    [404, 'XAdminUserNotFound', 'ConnectionFailed'],
    [403, 'SignatureDoesNotMatch', 'ConnectionFailed'],
    [400, 'ExpiredToken', 'ConnectionFailed'],
    [404, 'NoSuchBucket', 'ConnectionFailed'],
    [503, 'SlowDown', 'ConnectionFailed'],
    [500, 'InternalError', 'ConnectionFailed'],
    [507, 'InsufficientStorage', 'ServerFull'],
    [400, 'KeyTooLongError', 'DataRejected'],
    [400, 'InvalidArgument', 'Unknown'],
    [409, 'ConditionalRequestConflict', 'Conflict'],
  ])('%i %s is %s', async (status, name, expected) => {
    const message = `no entry for orders/city=Paris/a with ${SECRETS.secretAccessKey} or ${SECRETS.sessionToken}`;
    const store = await fake({ failure: { status, code: name, message } });
    const error = await store.putIfAbsent('orders/city=Paris/a', Buffer.from('x')).then(
      () => undefined,
      (caught: unknown) => caught as LonghaulError,
    );
    expect(error).toMatchObject({ code: expected, message: expect.stringContaining('Connection lake') as string });
    const said = `${error!.message} ${error!.next} ${String(error!.cause)}`;
    for (const secret of ['Paris', ...Object.values(SECRETS)]) expect(said).not.toContain(secret);
  });

  it('an endpoint that is not there is a connection that failed', async () => {
    const store = await fake({});
    server.stop();
    await expect(store.get('a')).rejects.toEqual(code('ConnectionFailed'));
    await expect(store.head('a')).rejects.toEqual(code('ConnectionFailed'));
    await expect(store.delete(['a'])).rejects.toEqual(code('ConnectionFailed'));
  });
});
