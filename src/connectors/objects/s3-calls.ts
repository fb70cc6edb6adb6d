import { setMaxListeners } from 'node:events';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { LonghaulError } from '../../core/errors.js';
import type { S3Location, StoreOptions } from './location.js';
import { shownPath } from './paths.js';
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
  /** The attempt's, on which any number of requests may listen. */
  readonly signal: AbortSignal;

  constructor(
    readonly location: S3Location,
    readonly options: StoreOptions,
  ) {
    this.client = new S3Client({ ...clientConfig(location), ...credentialsFor(location) });
    if (location.credentials === undefined) chains.set(location.region, this.client.config.credentials);
    this.signal = manyListeners(options.signal);
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
    signal = this.signal,
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
    return new LonghaulError('Conflict', `Connection ${this.options.name}: ${shownPath(path)} ${message}`, {
      next: 'It is tried again.',
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    return Promise.resolve();
  }
}

/** A signal that aborts with the first of these, for more than the ten listeners after which Node warns of a leak. */
export function manyListeners(...signals: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...signals]);
  setMaxListeners(0, signal);
  return signal;
}

/**
 * What the SDK's own chain found, by region: it keeps and renews them. Each attempt has a client of its own, and would otherwise ask the
 * machine or the token service anew.
 */
const chains = new Map<string | undefined, S3Client['config']['credentials']>();

function credentialsFor({ credentials, region }: S3Location): Pick<S3ClientConfig, 'credentials'> {
  // A copy: the SDK adds keys of its own to it.
  if (credentials !== undefined) return { credentials: { ...credentials } };
  const known = chains.get(region);
  return known === undefined ? {} : { credentials: known };
}

function clientConfig({ endpoint, region, pathStyle }: S3Location): S3ClientConfig {
  const where = region ?? (endpoint === undefined ? undefined : REGION_OF_ENDPOINTS);
  return {
    ...(where !== undefined && { region: where }),
    ...(endpoint !== undefined && { endpoint }),
    forcePathStyle: pathStyle ?? endpoint !== undefined,
    followRegionRedirects: endpoint === undefined,
    maxAttempts: TRIES,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT, socketTimeout: IDLE_TIMEOUT },
  };
}
