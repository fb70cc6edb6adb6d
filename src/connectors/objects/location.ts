import type { Log } from '../types.js';

/** Where a store is, compiled. */
export type StoreLocation = LocalLocation | S3Location;

export interface LocalLocation {
  readonly kind: 'local';
  /** Of a folder, absolute. It is made when something is written. */
  readonly path: string;
}

export interface S3Location {
  readonly kind: 's3';
  readonly bucket: string;
  /** Without a slash at either end; empty: the whole bucket. */
  readonly prefix: string;
  /** URL of a server that is not AWS. */
  readonly endpoint?: string;
  readonly region?: string;
  /** The bucket's name stands in the URL's path, not in its host. Default: with an `endpoint`. */
  readonly pathStyle?: boolean;
  /** Absent: those that the SDK's own chain finds (environment, profile, role of the machine or pod). */
  readonly credentials?: S3Credentials;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface StoreOptions {
  /** The connection's, for messages. */
  readonly name: string;
  /** Ends every method that is under way, and an upload with it. */
  readonly signal: AbortSignal;
  readonly log: Log;
}
