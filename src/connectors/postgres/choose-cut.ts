import type { TableSpec } from '../../core/model.js';
import type { RelationInfo } from './catalog.js';
import type { LeafStatistics } from './leaf-statistics.js';
import type { TableKey } from './partition-key.js';
import type { PgSession } from './session.js';

/** By what one relation is cut, and why. `random`: its rows lie in another order than the ranges that are read. */
export interface Choice {
  readonly by: 'key' | 'pages' | 'nothing';
  readonly why: string;
  readonly random: boolean;
}

/** What is known of the server that the tables are read from. */
export interface ServerFacts {
  /** effective_cache_size: what the server expects to find in memory. */
  readonly cacheBytes: number;
  /** server_version_num. */
  readonly version: number;
}

export async function serverFacts(session: PgSession): Promise<ServerFacts> {
  const [row] = await session.query<{ bytes: number }>(
    `SELECT pg_size_bytes(current_setting('effective_cache_size'))::float8 AS bytes`,
  );
  return { cacheBytes: row!.bytes, version: session.serverVersion };
}

/** The first version that reads a range of pages without the whole table. */
const PAGE_RANGES_SINCE = 140_000;

/** Why a relation's pages can't be its partitions; undefined when they can, under a snapshot. */
export function whyNoPages(relation: RelationInfo, { version }: ServerFacts): string | undefined {
  if (relation.kind === 'view' || relation.kind === 'foreign table') return `a ${relation.kind} has no pages`;
  if (!relation.heap) return 'it is stored by another access method than heap';
  if (version >= PAGE_RANGES_SINCE) return undefined;
  return `Postgres ${Math.floor(version / 10_000)} reads the whole table for each range of pages, before version 14`;
}

/** Key and disk agree well enough for ranges of the key to be read nearly in the order of the disk. */
const HIGH_CORRELATION = 0.9;

/** Chooses for one relation that is to be cut into several partitions. `key` is the named one, or the best there is. */
export function chooseCut(
  { partition: { by }, consistency }: Pick<TableSpec, 'partition' | 'consistency'>,
  relation: RelationInfo,
  key: TableKey | undefined,
  statistics: LeafStatistics | undefined,
  server: ServerFacts,
): Choice {
  const correlation = statistics?.correlation;
  const low = correlation !== undefined && Math.abs(correlation) < HIGH_CORRELATION;
  const random = relation.bytes > server.cacheBytes && low;
  if (by === 'pages') return { by: 'pages', why: 'as partition.by says', random: false };
  const pageable = consistency === 'snapshot' && whyNoPages(relation, server) === undefined;
  if (by !== 'auto') return { by: 'key', why: 'named in partition.by', random };
  if (key === undefined) return withoutKey(pageable);
  if (!pageable || relation.bytes <= server.cacheBytes) return { by: 'key', why: rank(key), random };
  if (!low && correlation !== undefined) return { by: 'key', why: `${rank(key)}, in the order of the disk`, random };
  const order = low ? `correlation ${correlation.toFixed(2)}` : 'correlation unknown';
  const why = `a snapshot is held, and ranges of "${key.columns[0]!.name}" would be read at random (${order})`;
  return { by: 'pages', why, random: false };
}

function withoutKey(pageable: boolean): Choice {
  return pageable
    ? { by: 'pages', why: 'a snapshot is held, and there is no unique key', random: false }
    : { by: 'nothing', why: 'no unique key to cut by; name columns in partition.by', random: false };
}

function rank(key: TableKey): string {
  if (key.inPrimaryKey) return 'in the primary key';
  return key.indexed ? 'indexed' : 'not indexed';
}
