import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { S3Calls } from './s3-calls.js';
import { nameOf } from './s3-errors.js';

export interface BegunUpload {
  readonly path: string;
  readonly id: string;
  readonly begunAt: Date;
}

/** Uploads that have begun and not ended, of paths that begin with `prefix`. */
export async function* uploadsUnder(calls: S3Calls, prefix: string, signal: AbortSignal): AsyncIterable<BegunUpload> {
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({ Bucket: calls.bucket, Prefix: calls.key(prefix), ...marker });
    const page = await calls.make('listing uploads of', prefix, (o) => calls.client.send(command, o), signal);
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      yield { path: calls.path(Key!), id: UploadId!, begunAt: Initiated ?? new Date() };
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
    const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
    marker = { KeyMarker, ...(UploadIdMarker !== undefined && { UploadIdMarker }) };
  }
}

/** Aborts those that began before this time; answers how many. */
export async function sweepUploads(calls: S3Calls, before: Date, prefix: string): Promise<number> {
  const { signal } = calls;
  let swept = 0;
  for await (const { path, id, begunAt } of uploadsUnder(calls, prefix, signal)) {
    if (begunAt >= before) continue;
    const command = new AbortMultipartUploadCommand({ Bucket: calls.bucket, Key: calls.key(path), UploadId: id });
    await calls.make('aborting', path, (o) =>
      calls.client.send(command, o).catch((error: unknown) => {
        if (nameOf(error) !== 'NoSuchUpload') throw error;
      }),
    );
    swept++;
  }
  return swept;
}
