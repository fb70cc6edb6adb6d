import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execute } from '../demo/sql.js';
import { makeWorkers, type Workers } from '../demo/workers.js';
import { packageFile } from '../../package-file.js';
import { DevstackError } from '../report.js';

/** The files that a user writes: library, extract.py, longhaul.yaml, job.yaml, the control table. */
export const EXAMPLE = exampleFolder();

function exampleFolder(): string {
  const folder = packageFile('examples', 'homegrown');
  if (folder === undefined) throw new DevstackError('examples/homegrown is missing: run it in a checkout of Longhaul.');
  return folder;
}

export interface Scale {
  /** Where the rows go: into Postgres, or into Delta tables in a folder. */
  readonly to: 'warehouse' | 'lake';
  /** By what way the rows come. */
  readonly source: 'erp' | 'erp_files';
  /** Queries of each of the three tables. */
  readonly queries: number;
  /** Rows of each query. */
  readonly rowsEach: number;
  /** Part of the library's sessions that fail, 0 to below 1. */
  readonly failureRate: number;
  /** Seconds until the library begins to answer, on the average. */
  readonly latency: number;
}

/** Tables as job-lake.yaml declares them, in which the lake's rows are compared. */
const LAKE_TYPES = `CREATE SCHEMA bronze;
  CREATE TABLE bronze.erp_orders (order_id bigint, customer_id integer, state text, amount numeric(12, 2), placed_at timestamptz, note text);
  CREATE TABLE bronze.erp_customers (customer_id integer, name text, email text, credit numeric(38, 19), born date, vip boolean);
  CREATE TABLE bronze.erp_invoices (invoice_id bigint, day date, due date, amount numeric(14, 4), number text, remark text);`;

/** Servers that are up, with two empty databases `control` and `warehouse`. */
export interface Servers {
  readonly postgresUrl: (database: string) => string;
  readonly temporalAddress: string;
}

export interface Stage {
  readonly source: Scale['source'];
  readonly to: Scale['to'];
  /** The lake's folder. */
  readonly lake: string;
  readonly controlUrl: string;
  readonly warehouseUrl: string;
  readonly workers: Workers;
  /** What the library did wrong on purpose: how often, by kind. */
  troubles(): Promise<ReadonlyMap<string, number>>;
}

/** Sets the example up: the control table with its queries, the targets, and workers that run in `dir`. */
export async function setStage(servers: Servers, dir: string, scale: Scale): Promise<Stage> {
  const { postgresUrl, temporalAddress } = servers;
  const [controlUrl, warehouseUrl] = [postgresUrl('control'), postgresUrl('warehouse')];
  const fill = `SELECT fill_extract(${scale.queries}, ${scale.rowsEach})`;
  await execute(controlUrl, [await readFile(join(EXAMPLE, 'control.sql'), 'utf8'), fill]);
  await execute(warehouseUrl, [
    scale.to === 'lake' ? LAKE_TYPES : await readFile(join(EXAMPLE, 'warehouse.sql'), 'utf8'),
  ]);
  const lake = join(dir, 'lake');
  const troubleLog = join(dir, 'trouble.log');
  await rm(troubleLog, { force: true });
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: temporalAddress,
    CONTROL_URL: controlUrl,
    WAREHOUSE_URL: warehouseUrl,
    LAKE_PATH: lake,
    ERP_PASSWORD: 'of the example',
    ERP_FAILURE_RATE: String(scale.failureRate),
    ERP_LATENCY: String(scale.latency),
    ERP_TROUBLE_LOG: troubleLog,
  };
  const workers = makeWorkers(dir, join(EXAMPLE, 'longhaul.yaml'), env);
  const { source, to } = scale;
  return { source, to, lake, controlUrl, warehouseUrl, workers, troubles: () => readTroubles(troubleLog) };
}

/** One word a line. There is no file where nothing went wrong. */
async function readTroubles(file: string): Promise<Map<string, number>> {
  const text = existsSync(file) ? await readFile(file, 'utf8') : '';
  const counts = new Map<string, number>();
  for (const way of text.split('\n').filter((line) => line !== '')) counts.set(way, (counts.get(way) ?? 0) + 1);
  return counts;
}
