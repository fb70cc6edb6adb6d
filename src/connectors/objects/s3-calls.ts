import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { LonghaulError } from '../../core/errors.js';
import type { S3Location, StoreOptions } from './location.js';
import { s3Error } from './s3-errors.js';

/** Tries that the SDK makes of one request: an outage is the workflow's to wait for. */
const TRIES = 3;

/** Milliseconds without an answer to a connect, and without a byte on a connection, after which a request has failed. */
const CONNECT_TIMEOUT = 10_000;
const IDLE_TIMEOUT = 60_000;

const REGION_OF_ENDPOINTS = 'us-east-1';

/** One client, and all that its requests have in common. */
export class S3Calls implements AsyncDisposable {
  readonly client: S3Client;

  constructor(
    readonly location: S3Location,
    readonly options: StoreOptions,
  ) {
    this.client = new S3Client(clientConfig(location));
  }

  get bucket(): string {
    return this.location.bucket;
  }

  /** The object's key; of the empty path, what all keys begin with. */
  key(path: string): string {
    const { prefix } = this.location;
    return prefix === '' ? path : `${prefix}/${path}`;
  }

  path(key: string): string {
    return key.slice(this.key('').length);
  }

  /** Makes a request, or several; what it throws is said in our words. `signal`: in the place of the store's. */
  async make<T>(
    what: string,
    path: string,
    request: (options: { abortSignal: AbortSignal }) => Promise<T>,
    signal = this.options.signal,
  ): Promise<T> {
    signal.throwIfAborted();
    try {
      return await request({ abortSignal: signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const { bucket, credentials } = this.location;
      throw s3Error(error, { connection: this.options.name, bucket, what, path, credentials });
    }
  }

  conflict(path: string, message: string): LonghaulError {
    return new LonghaulError('Conflict', `Connection ${this.options.name}: ${path}: ${message}`, {
      next: 'It is tried again.',
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    return Promise.resolve();
  }
}

function clientConfig({ endpoint, region, pathStyle, credentials }: S3Location): S3ClientConfig {
  const where = region ?? (endpoint === undefined ? undefined : REGION_OF_ENDPOINTS);
  return {
    ...(where !== undefined && { region: where }),
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials !== undefined && { credentials }),
    forcePathStyle: pathStyle ?? endpoint !== undefined,
    followRegionRedirects: endpoint === undefined,
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT, socketTimeout: IDLE_TIMEOUT },
  };
}
