import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
// eslint-disable-next-line no-restricted-imports -- the type of what this schema makes, and nothing else of the connector
import type { LakeConnectionConfig } from '../connectors/lake/config.js';
// eslint-disable-next-line no-restricted-imports -- as above
import type { S3Location, StoreLocation } from '../connectors/objects/location.js';
import { below, located, strict, type Compiled, type Located } from './problems.js';
import { size } from './quantities.js';
import { withSecrets } from './secrets.js';

const MEGABYTE = 1024 * 1024;

/** Smaller files make readers slow; an upload has at most 10,000 parts of 8 MB. */
const LEAST_FILE = MEGABYTE;
const LARGEST_FILE = 16 * 1024 * MEGABYTE;

const PATH = "write a folder, as seen from this file's folder, or s3://bucket/prefix";
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;
const KEYS = ['accessKeyId', 'secretAccessKey'] as const;

const text = z.string().min(1);

const s3Schema = strict({
  endpoint: text.optional(),
  region: text.optional(),
  pathStyle: z.boolean().optional(),
  accessKeyId: text.optional(),
  secretAccessKey: text.optional(),
  sessionToken: text.optional(),
});

/** How data files are written. */
export const fileSettings = {
  compression: z.enum(['zstd', 'snappy']).prefault('zstd'),
  targetFileSize: size('128MB')
    .refine((bytes) => bytes >= LEAST_FILE && bytes <= LARGEST_FILE, {
      error: 'is out of bounds — write 1MB to 16GB, e.g. 128MB',
    })
    .prefault('128MB'),
  // YAML reads a bare `null` as no value: what is meant is clear.
  outOfRange: z
    .enum(['error', 'null'])
    .nullable()
    .transform((value) => value ?? 'null')
    .prefault('error'),
};

const common = {
  path: z.string({ error: `is not a path — ${PATH}` }).min(1, { error: `is empty — ${PATH}` }),
  s3: s3Schema.optional(),
  ...fileSettings,
};

/** Connections of types `delta` and `parquet` in `longhaul.yaml`, references resolved. */
export const deltaSchema = strict({ type: z.literal('delta'), ...common });
export const parquetSchema = strict({ type: z.literal('parquet'), ...common });

export type DefaultedLake = z.output<typeof deltaSchema> | z.output<typeof parquetSchema>;

export type CompiledLake = Compiled<LakeConnectionConfig>;

/** `folder`: of the configuration's file. Paths are below the connection's own. */
export function compileLake(name: string, given: DefaultedLake, folder: string): CompiledLake {
  const { location, problems } = given.path.includes('://') ? s3Location(given) : localLocation(given, folder);
  if (location === undefined || problems.length > 0) return { problems, warnings: [] };
  const { type, compression, targetFileSize, outOfRange } = given;
  return {
    connection: { type, name, location, compression, targetFileSize, outOfRange },
    problems,
    warnings: [],
  };
}

interface Place {
  /** Absent when there are problems. */
  readonly location?: StoreLocation;
  readonly problems: readonly Located[];
}

function localLocation({ path, s3 }: DefaultedLake, folder: string): Place {
  const whole = resolve(folder, path);
  const problems = [
    ...(s3 === undefined
      ? []
      : [located(['s3'], 'stands beside a folder', 'write path: s3://bucket/prefix, or no s3')]),
    ...(/^[A-Za-z][A-Za-z0-9+.-]+:\//.test(path)
      ? [located(['path'], 'looks like a URL that lacks a slash', PATH)]
      : []),
    ...(path === '~' || path.startsWith('~/')
      ? [located(['path'], 'begins with ~, which is not expanded here', 'write the whole path, or ${HOME}/…')]
      : []),
    ...(whole === resolve('/') ? [located(['path'], "is the disk's root", 'write a folder in it')] : []),
    ...(isOther(whole) ? [located(['path'], 'is a file, not a folder', PATH)] : []),
  ];
  return { location: { kind: 'local', path: whole }, problems };
}

/** Something is there, and it is no folder. */
function isOther(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

function s3Location({ path, s3 = {} }: DefaultedLake): Place {
  const [scheme, rest] = path.split('://', 2) as [string, string];
  if (scheme !== 's3') return { problems: [located(['path'], 'is of a kind of store that is unknown here', PATH)] };
  const [bucket = '', ...parts] = rest.replace(/\/+$/, '').split('/');
  const problems = [
    ...bucketProblems(bucket),
    ...(parts.some((part) => part === '' || part === '.' || part === '..')
      ? [located(['path'], 'holds an empty part, . or .. behind the bucket', 'write s3://bucket/prefix')]
      : []),
    ...[...endpointProblems(s3.endpoint), ...keyProblems(s3)].map((each) => below(['s3'], each)),
  ];
  return { location: compiledS3(bucket, parts.join('/'), s3), problems };
}

function compiledS3(bucket: string, prefix: string, s3: z.output<typeof s3Schema>): S3Location {
  const { endpoint, region, pathStyle, accessKeyId, secretAccessKey, sessionToken } = s3;
  const location: S3Location = {
    ...{ kind: 's3', bucket, prefix },
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(pathStyle !== undefined && { pathStyle }),
    ...(accessKeyId !== undefined && {
      credentials: {
        accessKeyId,
        secretAccessKey: secretAccessKey!,
        ...(sessionToken !== undefined && { sessionToken }),
      },
    }),
  };
  return withSecrets(location, ['credentials']);
}

function bucketProblems(bucket: string): Located[] {
  if (!BUCKET.test(bucket)) return [located(['path'], 'has no name of a bucket', 'write s3://bucket/prefix')];
  if (!bucket.endsWith('--x-s3')) return [];
  const fix = 'take a general purpose bucket';
  return [located(['path'], 'is a directory bucket, which lists its objects in no order', fix)];
}

function endpointProblems(endpoint: string | undefined): Located[] {
  if (endpoint === undefined) return [];
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    return [located(['endpoint'], 'is not a URL', 'write e.g. https://minio.example.com:9000')];
  }
  if (url.username !== '' || url.password !== '') {
    return [located(['endpoint'], 'holds a user or password', 'write them as accessKeyId and secretAccessKey')];
  }
  if (url.search === '' && url.hash === '') return [];
  return [located(['endpoint'], 'holds a query', 'write the URL of the server alone, without ? and #')];
}

/** Both of a pair, or none: half of it, completed from the environment, would be somebody else's. */
function keyProblems(s3: z.output<typeof s3Schema>): Located[] {
  const fix = 'write accessKeyId and secretAccessKey, or neither: then the AWS SDK looks for credentials by itself';
  const given = KEYS.filter((key) => s3[key] !== undefined);
  const wanted = given.length > 0 || s3.sessionToken !== undefined;
  return wanted ? KEYS.filter((key) => s3[key] === undefined).map((key) => located([key], 'is missing', fix)) : [];
}
