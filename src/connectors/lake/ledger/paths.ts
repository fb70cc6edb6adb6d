import { createHash } from 'node:crypto';

/** Where the ledger's objects lie, from the root of the lake (docs/lake-ledger.md). */

export const ROOT = '_longhaul';

/** Longer names are cut; their hash tells them apart. */
const LONGEST = 80;
const PLAIN = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * A name as one part of a path: itself where it is plain, otherwise percent-encoded and with a hash of the very name behind `~`, which no
 * plain name has. So names that differ in case alone, or in how Unicode composes a letter, are told apart on every file system.
 */
export function encodeName(name: string): string {
  if (PLAIN.test(name) && name.length <= LONGEST) return name;
  const encoded = [...Buffer.from(name, 'utf8')].map(encodeByte).join('').slice(0, LONGEST);
  return `${encoded}~${createHash('sha256').update(JSON.stringify(name)).digest('hex').slice(0, 16)}`;
}

function encodeByte(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9._-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Ten digits, so that the order of paths is that of numbers. */
export function digits(number: number): string {
  return number.toString().padStart(10, '0');
}

export const RUNS = `${ROOT}/runs`;
export const INDEX = `${ROOT}/index`;
export const TARGETS = `${ROOT}/targets`;
export const UNFINISHED = `${ROOT}/unfinished`;

export const runFolder = (run: string): string => `${RUNS}/${encodeName(run)}`;
export const unfinishedPath = (run: string): string => `${UNFINISHED}/${encodeName(run)}.json`;
export const targetFolder = (to: string): string => `${TARGETS}/${encodeName(to)}`;
export const snapshotPath = (run: string, snapshot: number): string =>
  `${runFolder(run)}/snapshots/${digits(snapshot)}.json`;

/** The records that one opening has written: of several at once, the log says whose count. */
export const openingFolder = (run: string, opening: string): string => `${runFolder(run)}/opened/${opening}`;
export const recordPath = (run: string, opening: string, position: number): string =>
  `${openingFolder(run, opening)}/${digits(position)}.json`;
export const queriesPath = (run: string, opening: string, position: number, page: number): string =>
  `${openingFolder(run, opening)}/${digits(position)}.queries/${digits(page)}.json`;

export interface Generation {
  readonly run: string;
  readonly table: string;
  /** Which snapshot; undefined without one. */
  readonly snapshot?: number | undefined;
}

/** What belongs to a table under one snapshot: a start over leaves it behind as it is. */
export const generationFolder = ({ run, table, snapshot = 0 }: Generation): string =>
  `${runFolder(run)}/tables/${encodeName(table)}/${snapshot}`;
export const planPath = (of: Generation): string => `${generationFolder(of)}/plan.json`;
export const pagesFolder = (of: Generation): string => `${generationFolder(of)}/plan`;
export const pagePath = (of: Generation, planning: string, page: number): string =>
  `${pagesFolder(of)}/${planning}/${digits(page)}.json`;
export const receiptsFolder = (of: Generation): string => `${generationFolder(of)}/receipts`;
export const receiptPath = (of: Generation, ordinal: number): string => `${receiptsFolder(of)}/${digits(ordinal)}.json`;
export const sumsPath = (of: Generation, block: number): string => `${generationFolder(of)}/sums/${digits(block)}.json`;

export const differencesFolder = (run: string, table: string): string =>
  `${runFolder(run)}/tables/${encodeName(table)}/differences`;
export const differencesPath = (run: string, table: string, ordinal: number): string =>
  `${differencesFolder(run, table)}/${digits(ordinal)}.json`;

/** The number in the last part of a path. */
export function numberOf(path: string): number {
  return Number.parseInt(path.slice(path.lastIndexOf('/') + 1), 10);
}

/** In the index a later start comes first, since a store lists in ascending order. */
const LAST_MS = 9_999_999_999_999;

export function indexPath(startedAt: string, run: string): string {
  return `${INDEX}/${(LAST_MS - Date.parse(startedAt)).toString().padStart(13, '0')}-${encodeName(run)}.json`;
}

/** The folder of the run that a path in `UNFINISHED` names. */
export function unfinished(path: string): string {
  return `${RUNS}/${path.slice(UNFINISHED.length + 1, -'.json'.length)}`;
}

/** The folder of the run that a path of the index names, and when it says that the run began. */
export function indexed(path: string): { folder: string; startedMs: number } {
  const name = path.slice(INDEX.length + 1, -'.json'.length);
  return { folder: `${RUNS}/${name.slice(14)}`, startedMs: LAST_MS - Number(name.slice(0, 13)) };
}
