import { addAbortSignal, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type _Object as Listed,
} from '@aws-sdk/client-s3';
import type { S3Location, StoreOptions } from './location.js';
import { missing } from './missing.js';
import { assertPath } from './paths.js';
import { S3Calls } from './s3-calls.js';
import { nameOf, statusOf } from './s3-errors.js';
import { S3Upload } from './s3-upload.js';
import { sweepUploads } from './s3-uploads.js';
import type { ObjectInfo, ObjectWriter, OpenStore } from './store.js';

/** Objects that one request removes, at most: S3's limit. */
const DELETIONS = 1000;

/** Tries of a conditional put that another one met, and milliseconds before the first repeat. */
const CONDITIONAL_TRIES = 6;
const CONDITIONAL_WAIT = 50;

/** A bucket of S3, or of what speaks its language and honours conditional puts. */
export function openS3Store(location: S3Location, options: StoreOptions): OpenStore {
  return new S3Store(new S3Calls(location, options));
}

type Condition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string };

class S3Store implements OpenStore {
  readonly url: string;

  constructor(private readonly calls: S3Calls) {
    const { bucket, prefix } = calls.location;
    this.url = prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
  }

  async get(path: string): Promise<Uint8Array | undefined> {
    return this.#read(path);
  }

  async range(path: string, from: number, to: number): Promise<Uint8Array> {
    if (to <= from) return new Uint8Array();
    const bytes = await this.#read(path, `bytes=${from}-${to - 1}`);
    if (bytes === undefined) throw missing(this.calls.options.name, path);
    if (bytes.length !== to - from) throw missing(this.calls.options.name, path, to);
    return bytes;
  }

  #read(path: string, Range?: string): Promise<Uint8Array | undefined> {
    assertPath(path);
    const command = new GetObjectCommand({ ...this.#object(path), ...(Range !== undefined && { Range }) });
    return this.calls.make('reading', path, async (o) => {
      try {
        const { Body } = await this.calls.client.send(command, o);
        return await bytesOf(Body as Readable, o.abortSignal);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        if (nameOf(error) === 'InvalidRange') return new Uint8Array();
        throw error;
      }
    });
  }

  head(path: string): Promise<ObjectInfo | undefined> {
    assertPath(path);
    return this.calls.make('looking at', path, async (o) => {
      try {
        const found = await this.calls.client.send(new HeadObjectCommand(this.#object(path)), o);
        return { path, size: found.ContentLength!, tag: found.ETag!, modifiedAt: found.LastModified! };
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    });
  }

  putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean> {
    return this.#putWhen({ IfNoneMatch: '*' }, path, bytes);
  }

  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean> {
    return this.#putWhen(tag === undefined ? { IfNoneMatch: '*' } : { IfMatch: tag }, path, bytes);
  }

  /** A refusal may be the answer to our own repeat of a put whose answer was lost: so what is there is compared. */
  async #putWhen(condition: Condition, path: string, bytes: Uint8Array): Promise<boolean> {
    assertPath(path);
    for (let tries = 0; tries < CONDITIONAL_TRIES; tries++) {
      const outcome = await this.#tryPut(condition, path, bytes);
      if (outcome === 'put') return true;
      if (outcome === 'refused') {
        const found = await this.get(path);
        if (found !== undefined) return Buffer.compare(found, bytes) === 0;
        if ('IfMatch' in condition) return false;
      }
      const wait = CONDITIONAL_WAIT * 2 ** tries * (0.5 + Math.random());
      await sleep(wait, undefined, { signal: this.calls.signal }).catch(() => undefined);
    }
    throw this.calls.conflict(path, 'is put by others all the time; what is there is theirs.');
  }

  #tryPut(condition: Condition, path: string, Body: Uint8Array): Promise<'put' | 'refused' | 'met'> {
    const command = new PutObjectCommand({ ...this.#object(path), Body, ...condition });
    return this.calls.make('writing', path, (o) =>
      this.calls.client.send(command, o).then(() => 'put' as const, refusalOf),
    );
  }

  create(path: string): Promise<ObjectWriter> {
    assertPath(path);
    this.calls.signal.throwIfAborted();
    return Promise.resolve(new S3Upload(this.calls, path));
  }

  async *list(prefix: string, after = ''): AsyncIterable<readonly ObjectInfo[]> {
    let place: { StartAfter?: string; ContinuationToken?: string } =
      after === '' ? {} : { StartAfter: this.calls.key(after) };
    for (;;) {
      const command = new ListObjectsV2Command({ Bucket: this.calls.bucket, Prefix: this.calls.key(prefix), ...place });
      const page = await this.calls.make('listing', prefix, (o) => this.calls.client.send(command, o));
      const found = (page.Contents ?? []).filter(({ Key }) => !Key!.endsWith('/')).map((each) => this.#info(each));
      if (found.length > 0) yield found;
      if (page.NextContinuationToken === undefined) return;
      place = { ContinuationToken: page.NextContinuationToken };
    }
  }

  #info({ Key, Size, ETag, LastModified }: Listed): ObjectInfo {
    return { path: this.calls.path(Key!), size: Size!, tag: ETag!, modifiedAt: LastModified! };
  }

  async delete(paths: readonly string[]): Promise<void> {
    paths.forEach(assertPath);
    for (let begin = 0; begin < paths.length; begin += DELETIONS) {
      await this.#deleteSome(paths.slice(begin, begin + DELETIONS));
    }
  }

  async #deleteSome(paths: readonly string[]): Promise<void> {
    const Objects = paths.map((path) => ({ Key: this.calls.key(path) }));
    const command = new DeleteObjectsCommand({ Bucket: this.calls.bucket, Delete: { Objects, Quiet: true } });
    await this.calls.make('removing', paths[0]!, async (o) => {
      const { Errors = [] } = await this.calls.client.send(command, o);
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (failed !== undefined) throw Object.assign(new Error(failed.Message), { name: failed.Code });
    });
  }

  sweep(before: Date, prefix = ''): Promise<number> {
    return sweepUploads(this.calls, before, prefix);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.calls[Symbol.asyncDispose]();
  }

  #object(path: string): { Bucket: string; Key: string } {
    return { Bucket: this.calls.bucket, Key: this.calls.key(path) };
  }
}

async function bytesOf(body: Readable, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of addAbortSignal(signal, body)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** Where the bucket itself is missing, S3 says so by name; a HEAD has no name. */
function isAbsent(error: unknown): boolean {
  return nameOf(error) === 'NoSuchKey' || nameOf(error) === 'NotFound';
}

/** `met`: another conditional put was under way, and this one was not looked at. */
function refusalOf(error: unknown): 'refused' | 'met' {
  if (statusOf(error) === 412 || nameOf(error) === 'NoSuchKey') return 'refused';
  if (statusOf(error) === 409) return 'met';
  throw error;
}
