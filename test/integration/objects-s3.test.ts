import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { S3Location } from '../../src/connectors/objects/location.js';
import type { ObjectWriter, OpenStore } from '../../src/connectors/objects/store.js';
import { code } from '../contract/fixture.js';
import { objectStoreContract, type StoreFixture } from '../contract/object-store-suite.js';
import { startAnswerLoser, type AnswerLoser } from '../support/answer-loser.js';
import { S3_START_TIMEOUT, startS3, type S3Server } from '../support/s3.js';
import { quiet, storeAt } from '../support/store.js';

let server: S3Server;
beforeAll(async () => {
  server = await startS3();
}, S3_START_TIMEOUT);
afterAll(() => server.stop());

objectStoreContract('a bucket', (): Promise<StoreFixture> => {
  const location = server.location();
  return Promise.resolve({
    open: ({ signal } = {}) => storeAt(location, signal),
    leftovers: () => uploads(location.prefix),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

async function uploads(prefix: string): Promise<string[]> {
  const client = server.client();
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: prefix }));
  client.destroy();
  return (Uploads ?? []).map(({ Key, UploadId }) => `${Key} ${UploadId}`);
}

describe('a bucket', () => {
  let loser: AnswerLoser;
  let place: S3Location;
  let store: OpenStore;
  const warnings: string[] = [];
  beforeEach(async () => {
    loser = await startAnswerLoser(server.endpoint);
    place = server.location();
    const log = { ...quiet, warn: (_: object, message: string) => void warnings.push(message) };
    store = storeAt({ ...place, endpoint: loser.endpoint }, undefined, log);
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    loser.stop();
  });

  it('takes the credentials that the SDK finds, for this store and the next', async () => {
    const { credentials, ...found } = place;
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials!.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials!.secretAccessKey);
    for (const path of ['a', 'b']) {
      await using opened = storeAt(found);
      expect(await opened.putIfAbsent(path, text('x'))).toBe(true);
      vi.unstubAllEnvs();
    }
  });

  it('knows its own bytes when the answer to their put was lost', async () => {
    loser.lose(/^PUT .*receipt/, 1);
    expect(await store.putIfAbsent('receipt', text('mine'))).toBe(true);
    loser.lose(/^PUT .*receipt/, 1);
    expect(await store.putIfAbsent('receipt', text('theirs'))).toBe(false);
  });

  it('knows them too when no answer came at all, and it is asked again', async () => {
    loser.lose(/^PUT .*receipt/, 100);
    await expect(store.putIfAbsent('receipt', text('mine'))).rejects.toEqual(code('ConnectionFailed'));
    loser.lose(/^PUT .*receipt/, 0);
    expect(await store.putIfAbsent('receipt', text('theirs'))).toBe(false);
    expect(await store.putIfAbsent('receipt', text('mine'))).toBe(true);
  });

  it('knows its own replacement when the answer was lost', async () => {
    await store.putIfAbsent('pointer', text('one'));
    const { tag } = (await store.head('pointer'))!;
    loser.lose(/^PUT .*pointer/, 1);
    expect(await store.replace('pointer', text('two'), tag)).toBe(true);
    expect(await store.replace('pointer', text('six'), tag)).toBe(false);
  });

  it.each([
    ['small', 5, /^PUT /],
    ['in parts', LARGE, /^POST .*uploadId=/],
    ['in parts, of which one', LARGE, /^PUT .*partNumber=2/],
  ])('finishes an object, %s, whose answer was lost', async (_, size, request) => {
    const content = randomBytes(size);
    await using writer = await store.create('file');
    loser.lose(request, 1);
    await writer.write(content);
    expect(await writer.finish()).toBe(size);
    expect(Buffer.compare((await store.get('file'))!, content)).toBe(0);
    expect(await uploads(place.prefix)).toEqual([]);
  });

  it.each([
    ['its beginning', /^POST .*\?uploads/],
    ['its end', /^POST .*uploadId=/],
  ])('leaves nothing of an upload when all answers to %s were lost', async (_, request) => {
    {
      await using writer = await store.create('file');
      loser.lose(request, 100);
      await expect(writeAll(writer)).rejects.toEqual(code('ConnectionFailed'));
      loser.lose(request, 0);
    }
    expect(await store.head('file')).toBeUndefined();
    expect(await uploads(place.prefix)).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('never has half an object when the server restarts in mid-upload', async () => {
    const content = randomBytes(LARGE);
    for (const [index, at] of [0, 9, 17, 20].entries()) {
      const path = `file-${index}`;
      const finished = await restartedAt(store, path, content, at * 1024 * 1024);
      const found = await store.get(path);
      expect(found === undefined ? 'none' : Buffer.compare(found, content)).toBe(finished ? 0 : 'none');
    }
    expect(await uploads(place.prefix)).toEqual([]);
  });

  it('tells of an upload that it could not abort, which a sweep removes', async () => {
    {
      await using writer = await store.create('file');
      await writer.write(randomBytes(LARGE));
      await server.kill();
      await expect(writeAll(writer)).rejects.toEqual(code('ConnectionFailed'));
    }
    expect(warnings).toEqual([expect.stringContaining('could not be aborted')]);
    await server.restart();
    expect(await store.head('file')).toBeUndefined();
    expect(await uploads(place.prefix)).toHaveLength(1);
    expect(await store.sweep(new Date(Date.now() + 60_000))).toBe(1);
    expect(await uploads(place.prefix)).toEqual([]);
  });
});

const LARGE = 20 * 1024 * 1024 + 17;
const text = (content: string): Buffer => Buffer.from(content);

async function writeAll(writer: ObjectWriter): Promise<void> {
  await writer.write(randomBytes(LARGE));
  await writer.finish();
}

/** Whether an object was finished though the server was killed, and started again, after so many bytes. */
async function restartedAt(store: OpenStore, path: string, content: Buffer, at: number): Promise<boolean> {
  await using writer = await store.create(path);
  try {
    await writer.write(content.subarray(0, at));
    const written = Promise.allSettled([writer.write(content.subarray(at))]);
    await server.restart();
    const [{ status }] = await written;
    if (status === 'fulfilled') await writer.finish();
    else return false;
    return true;
  } catch (error) {
    expect(error).toEqual(code('ConnectionFailed'));
    return false;
  }
}
