/** The names of a log's objects. A version is written with 20 digits, so that their order is that of the versions. */

export const CLASSIC = /^(\d{20})\.checkpoint\.parquet$/;
const COMMIT = /^(\d{20})\.json$/;
const PART = /^(\d{20})\.checkpoint\.(\d{10})\.(\d{10})\.parquet$/;
const UUID_NAMED = /^(\d{20})\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)$/i;

export type LogName =
  | { readonly kind: 'commit' | 'classic' | 'uuid'; readonly version: number }
  | { readonly kind: 'part'; readonly version: number; readonly part: number; readonly parts: number };

/** Undefined: nothing that a reader needs (checksums, compacted commits, what is not finished). */
export function parseName(name: string): LogName | undefined {
  const kinds = [
    ['commit', COMMIT],
    ['classic', CLASSIC],
    ['uuid', UUID_NAMED],
  ] as const;
  for (const [kind, pattern] of kinds) {
    const match = pattern.exec(name);
    if (match !== null) return { kind, version: Number(match[1]) };
  }
  const match = PART.exec(name);
  if (match === null) return undefined;
  return { kind: 'part', version: Number(match[1]), part: Number(match[2]), parts: Number(match[3]) };
}

/** Of a commit, a checkpoint or a part of one, a checksum or the first of compacted commits. Undefined: of nothing of one version. */
export function versionOf(name: string): number | undefined {
  const other = /^(\d{20})\.(?:crc|\d{20}\.compacted\.json)$/.exec(name)?.[1];
  return other === undefined ? parseName(name)?.version : Number(other);
}

export function logPath(tablePath: string, name = ''): string {
  return `${tablePath}/_delta_log/${name}`;
}

export function commitPath(tablePath: string, version: number): string {
  return logPath(tablePath, `${padded(version)}.json`);
}

export function checkpointPath(tablePath: string, version: number): string {
  return logPath(tablePath, `${padded(version)}.checkpoint.parquet`);
}

export function lastCheckpointPath(tablePath: string): string {
  return logPath(tablePath, '_last_checkpoint');
}

export function padded(version: number): string {
  return String(version).padStart(20, '0');
}
