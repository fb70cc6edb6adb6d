import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { shownPath } from './paths.js';
import { manyListeners, type S3Calls } from './s3-calls.js';
import { nameOf } from './s3-errors.js';
import { uploadsUnder } from './s3-uploads.js';
import type { ObjectWriter } from './store.js';

/** Bytes of a part; S3's least is 5 MiB. Two of them are in memory: one on its way, one that fills. */
export const PART = 8 * 1024 * 1024;

/** Milliseconds that an upload's end may take when its attempt has ended. */
const ABANDON_TIMEOUT = 30_000;

/** So often an upload is aborted: a part that was on its way may arrive after it. */
const ABORTS = 3;

/** What is no longer than a part is one put; the rest goes in parts, and becomes visible when they are put together. */
export class S3Upload implements ObjectWriter {
  #part = Buffer.allocUnsafeSlow(PART);
  #filled = 0;
  #size = 0;
  /** Absent: no part was full yet. */
  #id: Promise<string> | undefined;
  readonly #sent: Promise<CompletedPart>[] = [];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #state: 'open' | 'finishing' | 'over' = 'open';

  constructor(
    private readonly calls: S3Calls,
    private readonly path: string,
  ) {
    this.#signal = manyListeners(calls.signal, this.#stop.signal);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      if (this.#filled === PART) await this.#sendPart();
      const taken = Math.min(rest.length, PART - this.#filled);
      this.#part.set(rest.subarray(0, taken), this.#filled);
      this.#filled += taken;
      this.#size += taken;
      rest = rest.subarray(taken);
    }
  }

  async finish(): Promise<number> {
    // A second time would send the last part again, as one more.
    if (this.#state !== 'open') throw this.calls.conflict(this.path, 'was to be finished twice.');
    this.#state = 'finishing';
    if (this.#id === undefined) await this.#putWhole();
    else {
      await this.#sendPart();
      await this.#complete(await this.#id, await Promise.all(this.#sent));
    }
    this.#state = 'over';
    return this.#size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'over') return;
    const finishing = this.#state === 'finishing';
    this.#state = 'over';
    this.#stop.abort(new Error('the upload was given up'));
    await Promise.allSettled(this.#sent);
    if (this.#id === undefined && !finishing) return;
    const signal = AbortSignal.timeout(ABANDON_TIMEOUT);
    try {
      if (this.#id !== undefined) await this.#abandon(this.#id, signal);
      if (finishing) await this.#remove(signal);
    } catch (error) {
      // Whoever disposes of it has an error of its own to tell.
      this.calls.options.log.warn(
        { err: error, path: shownPath(this.path) },
        'an upload could not be aborted; it takes space',
      );
    }
  }

  async #putWhole(): Promise<void> {
    const Body = this.#part.subarray(0, this.#filled);
    await this.#make('writing', (o) => this.calls.client.send(new PutObjectCommand({ ...this.#object, Body }), o));
  }

  /** Resolves when the part before it has arrived: then there is memory for another. */
  async #sendPart(): Promise<void> {
    const body = this.#part.subarray(0, this.#filled);
    this.#id ??= this.#begin();
    const sent = this.#upload(await this.#id, this.#sent.length + 1, body);
    sent.catch(() => undefined); // It is asked for below or by the next.
    const before = this.#sent.at(-1);
    this.#sent.push(sent);
    await before;
    this.#part = Buffer.allocUnsafeSlow(PART);
    this.#filled = 0;
  }

  async #begin(): Promise<string> {
    const { client } = this.calls;
    // What the SDK does with the parts, it has to say at the beginning.
    const checked = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
    const command = new CreateMultipartUploadCommand({
      ...this.#object,
      ...(checked && { ChecksumAlgorithm: 'CRC32' }),
    });
    return (await this.#make('beginning', (o) => client.send(command, o))).UploadId!;
  }

  async #upload(UploadId: string, PartNumber: number, Body: Buffer): Promise<CompletedPart> {
    const command = new UploadPartCommand({ ...this.#object, UploadId, PartNumber, Body });
    const { ETag, ...answer } = await this.#make('writing', (o) => this.calls.client.send(command, o));
    const { ChecksumCRC32 } = answer;
    return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
  }

  async #complete(UploadId: string, Parts: CompletedPart[]): Promise<void> {
    const command = new CompleteMultipartUploadCommand({ ...this.#object, UploadId, MultipartUpload: { Parts } });
    await this.#make('finishing', async (o) => {
      try {
        await this.calls.client.send(command, o);
      } catch (error) {
        // A repeat whose first answer was lost finds no upload any more, and the object whole.
        if (nameOf(error) !== 'NoSuchUpload' || !(await this.#isWhole(o))) throw error;
      }
    });
  }

  async #isWhole(o: { abortSignal: AbortSignal }): Promise<boolean> {
    return this.calls.client.send(new HeadObjectCommand(this.#object), o).then(
      ({ ContentLength }) => ContentLength === this.#size,
      () => false,
    );
  }

  async #abandon(begun: Promise<string>, signal: AbortSignal): Promise<void> {
    const known = await begun.catch(() => undefined);
    const ids = known === undefined ? await this.#unknownUploads(signal) : [known];
    for (const id of ids) await this.#abort(id, signal);
  }

  /** An upload whose beginning was not answered: nobody else has one of this path. */
  async #unknownUploads(signal: AbortSignal): Promise<string[]> {
    const ids: string[] = [];
    for await (const { path, id } of uploadsUnder(this.calls, this.path, signal)) {
      if (path === this.path) ids.push(id);
    }
    return ids;
  }

  async #abort(UploadId: string, signal: AbortSignal): Promise<void> {
    const { client } = this.calls;
    const upload = { ...this.#object, UploadId };
    for (let tries = 0; tries < ABORTS; tries++) {
      const gone = await this.calls.make(
        'aborting',
        this.path,
        (o) =>
          client
            .send(new AbortMultipartUploadCommand(upload), o)
            .then(() => client.send(new ListPartsCommand(upload), o))
            .then(() => false, isNoSuchUpload),
        signal,
      );
      if (gone) return;
    }
    throw this.calls.conflict(this.path, 'has an upload still after that was aborted.');
  }

  /** An answer to its last request may have been lost: then it is there after all. */
  async #remove(signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand(this.#object);
    await this.calls.make('removing', this.path, (o) => this.calls.client.send(command, o), signal);
  }

  get #object(): { Bucket: string; Key: string } {
    return { Bucket: this.calls.bucket, Key: this.calls.key(this.path) };
  }

  #make<T>(what: string, request: (o: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
    return this.calls.make(what, this.path, request, this.#signal);
  }
}

/** For a rejected request: true when there is no such upload, and otherwise the error itself. */
function isNoSuchUpload(error: unknown): true {
  if (nameOf(error) === 'NoSuchUpload') return true;
  throw error;
}
