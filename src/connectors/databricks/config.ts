import type { FileSettings } from '../lake/destination/index.js';

/** A connection of type `databricks`, compiled. Holds secrets. */
export interface DatabricksConnectionConfig extends FileSettings {
  readonly type: 'databricks';
  /** Origin of the workspace: `https://adb-1234.5.azuredatabricks.net`. */
  readonly host: string;
  readonly warehouseId: string;
  /** A personal access token; else `client`. */
  readonly token?: string;
  /** OAuth of a service principal. */
  readonly client?: { readonly id: string; readonly secret: string };
  /** Of tables that are named by two parts. Absent: the warehouse's default. */
  readonly catalog?: string;
  /** Where a destination keeps its files, its ledger and, in the same schema, its staging tables. Absent: statements only. */
  readonly volume?: VolumePlace;
}

/** A folder of a Unity Catalog volume. */
export interface VolumePlace {
  readonly catalog: string;
  readonly schema: string;
  readonly volume: string;
  /** Parts joined by `/`, without one at its ends; empty for the volume itself. */
  readonly folder: string;
}

/** As statements and the Files API write it, without a slash at its end. */
export function volumePath({ catalog, schema, volume, folder }: VolumePlace): string {
  return ['/Volumes', catalog, schema, volume, ...(folder === '' ? [] : [folder])].join('/');
}
