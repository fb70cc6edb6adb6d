import { S3ServiceException } from '@aws-sdk/client-s3';
import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import { redactor } from '../redact.js';
import type { S3Credentials } from './location.js';
import { shownPath } from './paths.js';

export interface S3ErrorContext {
  readonly connection: string;
  readonly bucket: string;
  /** What was being done, e.g. `writing`. */
  readonly what: string;
  readonly path: string;
  readonly credentials: S3Credentials | undefined;
}

interface Rule {
  readonly code: ErrorCode;
  readonly says: string;
  readonly next: string;
}

const SIGNED_OUT: Rule = {
  code: 'ConnectionFailed',
  says: 'refused the sign-in',
  next: 'Look at the credentials: those under s3 in longhaul.yaml, or what the AWS SDK finds on this worker (environment, profile, role).',
};
const NOT_ALLOWED: Rule = {
  code: 'PermissionDenied',
  says: 'refused for lack of a privilege',
  next: 'Give s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts.',
};
const FULL: Rule = { code: 'ServerFull', says: 'has no space left', next: 'Free space there, or raise the quota.' };
const AWAY: Rule = {
  code: 'ConnectionFailed',
  says: 'gave no answer',
  next: 'Look at the endpoint and the network; the copy goes on by itself when it is back.',
};
const BUSY: Rule = { ...AWAY, says: 'is overloaded or failed' };
const NO_BUCKET: Rule = {
  code: 'ConnectionFailed',
  says: 'has no such bucket',
  next: 'Make the bucket, or correct path, region and endpoint of this connection in longhaul.yaml.',
};
const ELSEWHERE: Rule = { ...NO_BUCKET, says: 'has this bucket in another region' };
const NO_REGION: Rule = {
  code: 'ConnectionFailed',
  says: 'has no region',
  next: 'Write s3.region in longhaul.yaml, or set AWS_REGION for the worker.',
};
const UNABLE: Rule = {
  code: 'ServerUnsuitable',
  says: 'does not know this request',
  next: 'Take S3 itself, or a server that honours conditional puts: docs/lake.md says which.',
};
const TOO_LONG: Rule = {
  code: 'DataRejected',
  says: 'refused a path that is too long',
  next: 'Partition by a column with shorter values.',
};

/** By the name of S3's error, or the code of the system's. */
const BY_NAME: Readonly<Record<string, Rule>> = {
  AccessDenied: NOT_ALLOWED,
  AllAccessDisabled: NOT_ALLOWED,
  InvalidAccessKeyId: SIGNED_OUT,
  XAdminUserNotFound: SIGNED_OUT,
  SignatureDoesNotMatch: SIGNED_OUT,
  ExpiredToken: SIGNED_OUT,
  InvalidToken: SIGNED_OUT,
  TokenRefreshRequired: SIGNED_OUT,
  RequestTimeTooSkewed: { ...SIGNED_OUT, next: "Correct this machine's clock." },
  CredentialsProviderError: { ...SIGNED_OUT, says: 'can not be signed in to: no credentials were found' },
  NoSuchBucket: NO_BUCKET,
  PermanentRedirect: ELSEWHERE,
  AuthorizationHeaderMalformed: ELSEWHERE,
  KeyTooLongError: TOO_LONG,
  QuotaExceeded: FULL,
  InsufficientStorage: FULL,
  XMinioStorageFull: FULL,
  NotImplemented: UNABLE,
  TimeoutError: AWAY,
};

const BY_STATUS: Readonly<Record<number, Rule>> = {
  301: ELSEWHERE,
  401: SIGNED_OUT,
  403: NOT_ALLOWED,
  404: NO_BUCKET,
  429: BUSY,
  501: UNABLE,
  507: FULL,
};

/** What the SDK throws, in our words. S3's own are added where they say more: without a credential or the values in a path. */
export function s3Error(error: unknown, context: S3ErrorContext): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const rule = ruleOf(error);
  const { connection, bucket, what, path } = context;
  const place = `Connection ${connection} (bucket ${bucket}), ${what} ${shownPath(path)}:`;
  const words = ownWords(error, context);
  const message = `${place} the endpoint ${rule?.says ?? 'answered with an error'}${words === '' ? '' : `: ${words}`}.`;
  return new LonghaulError(rule?.code ?? 'Unknown', message, rule === undefined ? {} : { next: rule.next });
}

function ruleOf(error: unknown): Rule | undefined {
  if (!(error instanceof Error)) return undefined;
  const status = statusOf(error);
  const byName = BY_NAME[error.name];
  if (byName !== undefined) return byName;
  if (/region is missing/i.test(error.message)) return NO_REGION;
  if (status === undefined) return isOfNetwork(error) ? AWAY : undefined;
  return BY_STATUS[status] ?? (status >= 500 ? BUSY : undefined);
}

/** A system's error has a code; so have those of TLS. */
function isOfNetwork(error: Error): boolean {
  return typeof (error as NodeJS.ErrnoException).code === 'string';
}

function ownWords(error: unknown, { path, credentials }: S3ErrorContext): string {
  if (!(error instanceof Error)) return '';
  if (!(error instanceof S3ServiceException)) return (error as NodeJS.ErrnoException).code ?? error.name;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials ?? {};
  const secrets = [accessKeyId, secretAccessKey, sessionToken].filter((each) => each !== undefined);
  const words = redactor(secrets)(error.message.replaceAll(path, shownPath(path)));
  return `${error.name}${words === '' || words === error.name ? '' : ` (${words.replace(/\.$/, '')})`}`;
}

export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

export function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}
