import { randomUUID } from 'node:crypto';
import type { WarehouseClient } from './client.js';
import { literal, tableSql, type WarehouseTable } from './names.js';

/** Versions that are looked at. What lies before them is taken to be unknown. */
const LOOKED_AT = 1_000;

/** Operations that bring no rows of ours. */
const OTHER =
  /^(OPTIMIZE|REORG|VACUUM|ANALYZE|COMPUTE STATS|CREATE|SET|UNSET|ADD|DROP|RENAME|CHANGE|CLUSTER|UPGRADE|DELETE|UPDATE|FSCK|RESTORE)/;

export type Seen = 'yes' | 'no' | 'unknown';

/** The newest version of a table. */
export async function versionOf(client: WarehouseClient, table: WarehouseTable): Promise<number> {
  const [newest] = await history(client, table, 1);
  return newest!.version;
}

/** How a commit of ours is told: it came after version `base`, and wrote exactly `rows` rows. Others may have done so too. */
export interface Sign {
  readonly base: number;
  readonly rows: number;
}

/** Whether there is a commit that bears the sign. `unknown`: there is one that doesn't say how many rows it wrote. */
export async function sawCommit(client: WarehouseClient, table: WarehouseTable, sign: Sign): Promise<Seen> {
  const entries = await history(client, table, LOOKED_AT);
  const { base, rows } = sign;
  const later = entries.filter(({ version, operation }) => version > base && !OTHER.test(operation));
  if (later.some(({ written }) => written === rows)) return 'yes';
  const reachesBack = entries.some(({ version }) => version <= base + 1);
  return reachesBack && later.every(({ written }) => written !== undefined) ? 'no' : 'unknown';
}

/** How many commits bear the sign. */
export async function commitsOf(client: WarehouseClient, table: WarehouseTable, { base, rows }: Sign): Promise<number> {
  const entries = await history(client, table, LOOKED_AT);
  return entries.filter(({ version, written }) => version > base && written === rows).length;
}

/**
 * A commit that changes the target's metadata, and nothing else: Delta documents that it makes every write fail that runs at the time.
 * Another value each time, so that it is a change.
 */
export async function fence(client: WarehouseClient, table: WarehouseTable): Promise<void> {
  const sql = `ALTER TABLE ${tableSql(table)} SET TBLPROPERTIES ('longhaul.fence' = ${literal(randomUUID())})`;
  await client.run({ sql, repeatable: true });
}

interface Commit {
  readonly version: number;
  readonly operation: string;
  /** Rows. Undefined: it doesn't say. */
  readonly written: number | undefined;
}

async function history(client: WarehouseClient, table: WarehouseTable, limit: number): Promise<Commit[]> {
  const answer = await client.run({ sql: `DESCRIBE HISTORY ${tableSql(table)} LIMIT ${limit}`, repeatable: true });
  const at = (name: string) => answer.columns.findIndex((column) => column.toLowerCase() === name);
  const [version, operation, metrics] = [at('version'), at('operation'), at('operationmetrics')];
  const commits: Commit[] = [];
  for await (const batch of answer.batches())
    for (const row of batch)
      commits.push({
        version: Number(row[version]),
        operation: row[operation] ?? '',
        written: writtenIn(row[metrics]),
      });
  return commits;
}

/** A map, as text: by JSON, or as Spark prints it. */
function writtenIn(metrics: string | null | undefined): number | undefined {
  const found = /"?numOutputRows"?\s*(?::|=|->)\s*"?(\d+)/.exec(metrics ?? '');
  return found === null ? undefined : Number(found[1]);
}
