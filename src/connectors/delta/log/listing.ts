import type { ObjectStore } from '../../objects/store.js';
import { logBroken } from './actions.js';
import { lastCheckpointPath, logPath, padded, parseName, type LogName } from './names.js';

/** A complete checkpoint: all its parts, by their paths. */
export interface CheckpointFiles {
  readonly version: number;
  readonly paths: readonly string[];
}

export interface LogListing {
  /** Of commits: the last one. */
  readonly last: number;
  readonly commits: readonly number[];
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointFiles[];
}

/** What of a log makes one version: a checkpoint, if any, and the commits after it, up to `version`. */
export interface Segment {
  readonly version: number;
  readonly checkpoint?: CheckpointFiles;
  readonly commits: readonly number[];
}

interface Found {
  readonly path: string;
  readonly name: LogName;
}

/** Undefined: there is no log. */
export async function findSegment(
  store: ObjectStore,
  tablePath: string,
  version?: number,
): Promise<Segment | undefined> {
  const hint = await lastCheckpoint(store, tablePath);
  if (hint !== undefined && (version === undefined || hint <= version)) {
    const listing = await listLog(store, tablePath, hint);
    if (listing.checkpoints.length > 0) return segmentOf(listing, tablePath, version);
  }
  const listing = await listLog(store, tablePath);
  return listing.last < 0 ? undefined : segmentOf(listing, tablePath, version);
}

function segmentOf(listing: LogListing, tablePath: string, asked?: number): Segment {
  const version = asked ?? listing.last;
  if (version > listing.last) throw logBroken(tablePath, `there is no version ${version} of it`);
  const checkpoint = listing.checkpoints.filter((candidate) => candidate.version <= version).at(-1);
  const first = checkpoint === undefined ? 0 : checkpoint.version + 1;
  if (checkpoint === undefined && listing.commits[0] !== 0) {
    throw logBroken(tablePath, `neither its first commit nor a checkpoint up to version ${version} is there`);
  }
  // A commit that came while the log was listed can be missing in the list, so all numbers are taken.
  return {
    version,
    ...(checkpoint !== undefined && { checkpoint }),
    commits: Array.from({ length: Math.max(0, version + 1 - first) }, (_, index) => first + index),
  };
}

/** `from`: only of this version and later ones. */
export async function listLog(store: ObjectStore, tablePath: string, from?: number): Promise<LogListing> {
  const found: Found[] = [];
  const after = from === undefined ? undefined : logPath(tablePath, padded(from));
  for await (const page of store.list(logPath(tablePath), after)) {
    const names = page.map(({ path }) => path.slice(logPath(tablePath).length));
    names.forEach((text, index) => {
      const name = parseName(text);
      if (name !== undefined) found.push({ path: page[index]!.path, name });
    });
    if (names.some((name) => name > ':')) break; // after all digits: sidecars, staged commits
  }
  return listingOf(found);
}

function listingOf(found: readonly Found[]): LogListing {
  const commits = found.filter(({ name }) => name.kind === 'commit').map(({ name }) => name.version);
  const groups = new Map<string, Found[]>();
  for (const each of found) {
    if (each.name.kind === 'commit') continue;
    const key = each.name.kind === 'part' ? `${each.name.version}/${each.name.parts}` : each.path;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const checkpoints = [...groups.values()]
    .filter(isComplete)
    .map((files) => ({ version: files[0]!.name.version, paths: files.map(({ path }) => path) }))
    .sort((a, b) => a.version - b.version);
  const last = Math.max(-1, commits.at(-1) ?? -1, checkpoints.at(-1)?.version ?? -1);
  return { last, commits, checkpoints };
}

/** Parts are not written as one: until the last one is there, they are no checkpoint. */
function isComplete(files: readonly Found[]): boolean {
  const { name } = files[0]!;
  return name.kind !== 'part' || files.length === name.parts;
}

/** A hint only: another writer may be about to replace it, and an older or broken one costs no more than a longer list. */
async function lastCheckpoint(store: ObjectStore, tablePath: string): Promise<number | undefined> {
  const bytes = await store.get(lastCheckpointPath(tablePath));
  const text = bytes === undefined ? '' : Buffer.from(bytes).toString();
  const version = /"version"\s*:\s*(\d+)/.exec(text)?.[1];
  return version === undefined ? undefined : Number(version);
}
