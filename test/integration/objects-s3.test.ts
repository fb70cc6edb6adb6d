import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';
import { objectStoreContract, type StoreFixture } from '../contract/object-store-suite.js';
import { startS3, type S3Server } from '../support/s3.js';
import { storeAt } from '../support/store.js';

let server: S3Server;
beforeAll(async () => {
  server = await startS3();
});
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
