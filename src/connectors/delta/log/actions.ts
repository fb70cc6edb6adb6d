import { LonghaulError } from '../../../core/errors.js';

/**
 * The actions of a Delta log, as far as they are used here (https://github.com/delta-io/delta/blob/master/PROTOCOL.md). What a
 * checkpoint is made of keeps fields that are not named here too.
 */
export interface Action {
  readonly add?: AddAction;
  readonly remove?: RemoveAction;
  readonly metaData?: Metadata;
  readonly protocol?: Protocol;
  readonly txn?: Txn;
  readonly domainMetadata?: DomainMetadata;
  readonly commitInfo?: CommitInfo;
  readonly sidecar?: { readonly path: string };
}

export type PartitionValues = Readonly<Record<string, string | null>>;

export interface DeletionVector {
  readonly storageType: string;
  readonly pathOrInlineDv: string;
  readonly offset?: number;
  readonly sizeInBytes: number;
  readonly cardinality: number;
}

interface FileAction {
  /** URI-encoded, relative to the table or absolute: written back as it was found. */
  readonly path: string;
  readonly dataChange: boolean;
  readonly partitionValues?: PartitionValues;
  readonly size?: number;
  readonly deletionVector?: DeletionVector;
  readonly baseRowId?: number;
  readonly defaultRowCommitVersion?: number;
  readonly [other: string]: unknown;
}

export interface AddAction extends FileAction {
  readonly partitionValues: PartitionValues;
  readonly size: number;
  readonly modificationTime: number;
}

export interface RemoveAction extends FileAction {
  readonly deletionTimestamp?: number;
}

export interface Metadata {
  readonly id: string;
  readonly format: { readonly provider: string; readonly options: Readonly<Record<string, string>> };
  /** JSON: see schema.ts. */
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
  readonly createdTime?: number;
  readonly [other: string]: unknown;
}

export interface Protocol {
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
  readonly readerFeatures?: readonly string[];
  readonly writerFeatures?: readonly string[];
}

export interface Txn {
  readonly appId: string;
  readonly version: number;
  readonly lastUpdated?: number;
}

export interface DomainMetadata {
  readonly domain: string;
  readonly configuration: string;
  readonly removed: boolean;
}

export interface CommitInfo {
  readonly inCommitTimestamp?: number;
  readonly [other: string]: unknown;
}

/** Of a logical file: one data file may stand in a log with several deletion vectors. */
export function fileKey({ path, deletionVector: vector }: Pick<FileAction, 'path' | 'deletionVector'>): string {
  const decoded = decodePath(path);
  if (vector === undefined) return decoded;
  const at = vector.offset === undefined ? '' : `@${vector.offset}`;
  return `${decoded}\n${vector.storageType}${vector.pathOrInlineDv}${at}`;
}

/** Engines differ in what they encode, so paths are compared decoded. */
export function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a % that nobody encoded: the path is what it says
  }
}

/** `=` stays, as other engines leave it. */
export function encodePath(path: string): string {
  return encodeURIComponent(path).replaceAll('%2F', '/').replaceAll('%3D', '=');
}

const NEWLINE = 10;
const FILE_LINES = ['{"add":', '{"remove":', '{"cdc":'].map((prefix) => Buffer.from(prefix));

/** `files: false` passes over those of data files, without parsing most of them. */
export function* actionsOf(bytes: Uint8Array, subject: string, { files = true } = {}): Generator<Action> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < buffer.length;) {
    const found = buffer.indexOf(NEWLINE, start);
    const end = found < 0 ? buffer.length : found;
    if (files || !FILE_LINES.some((prefix) => buffer.subarray(start, start + prefix.length).equals(prefix))) {
      const line = buffer.toString('utf8', start, end).trim();
      if (line !== '') yield withoutNulls(parsed(line, subject));
    }
    start = end + 1;
  }
}

function parsed(line: string, subject: string): Action {
  try {
    return JSON.parse(line) as Action;
  } catch (cause) {
    throw logBroken(subject, 'a commit of it is not JSON', cause);
  }
}

const FIELDS = ['add', 'remove', 'txn', 'commitInfo', 'metaData', 'protocol'] as const;
const OPTIONAL = ['deletionVector', 'baseRowId', 'defaultRowCommitVersion', 'size', 'partitionValues'];

/** Some engines write what is absent as null. */
function withoutNulls(action: Action): Action {
  for (const field of FIELDS) {
    const body = action[field] as Record<string, unknown> | null | undefined;
    if (body === undefined || body === null) continue;
    for (const name of [
      'offset',
      ...OPTIONAL,
      'lastUpdated',
      'inCommitTimestamp',
      'readerFeatures',
      'writerFeatures',
    ]) {
      if (body[name] === null) Reflect.deleteProperty(body, name);
    }
    const vector = body['deletionVector'] as { offset?: number | null } | undefined;
    if (vector?.offset === null) delete vector.offset;
  }
  return action;
}

export function logBroken(subject: string, what: string, cause?: unknown): LonghaulError {
  return new LonghaulError('TargetChanged', `The log of ${subject} can't be read: ${what}. Nothing was written to it`, {
    cause,
    next: 'Look at the table with the engine that writes it (DESCRIBE HISTORY); repair or restore its _delta_log.',
  });
}
