import { LonghaulError } from '../../core/errors.js';
import { parseWrittenName } from '../../core/table-name.js';
import { errorFinding } from '../findings.js';
import type { Finding } from '../types.js';
import type { WarehouseClient } from './client.js';
import type { DatabricksConnectionConfig } from './config.js';
import type { WarehouseTable } from './names.js';
import { keepsFirst, type VolumeStore } from './volume-store.js';

const PROBES = 'longhaul-probes';

/** A target as jobs write it, `schema.table`, in the connection's catalog, or else in its volume's. */
export function targetOf(to: string, { catalog, volume }: DatabricksConnectionConfig): WarehouseTable {
  const { schema, table } = parseWrittenName(to)!;
  return { catalog: catalog ?? volume!.catalog, schema: schema.name, table: table.name };
}

/** What concerns the connection as a destination. Creates and removes some small files in the volume, and nothing else. */
export async function checkWorkspace(client: WarehouseClient, store: VolumeStore): Promise<Finding[]> {
  return [
    ...(await found(() => client.rows({ sql: 'SELECT 1', repeatable: true }))),
    ...(await found(async () => {
      if (await keepsFirst(store, PROBES)) return;
      const says =
        "lets two writers create the same file of its volume, so that Longhaul's records in it would not be safe";
      throw client.http.errors.of('ServerUnsuitable', says, 'Use another volume.');
    })),
  ];
}

async function found(look: () => Promise<unknown>): Promise<Finding[]> {
  try {
    await look();
    return [];
  } catch (error) {
    if (!(error instanceof LonghaulError)) throw error;
    return [errorFinding(error)];
  }
}
