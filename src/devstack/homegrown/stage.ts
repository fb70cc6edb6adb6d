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

/** Servers that are up, with two empty databases `control` and `warehouse`. */
export interface Servers {
  readonly postgresUrl: (database: string) => string;
  readonly temporalAddress: string;
}

export interface Stage {
  readonly source: Scale['source'];
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
  await execute(warehouseUrl, [await readFile(join(EXAMPLE, 'warehouse.sql'), 'utf8')]);
  const troubleLog = join(dir, 'trouble.log');
  await rm(troubleLog, { force: true });
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: temporalAddress,
    CONTROL_URL: controlUrl,
    WAREHOUSE_URL: warehouseUrl,
    ERP_PASSWORD: 'of the example',
    ERP_FAILURE_RATE: String(scale.failureRate),
    ERP_LATENCY: String(scale.latency),
    ERP_TROUBLE_LOG: troubleLog,
  };
  const workers = makeWorkers(dir, join(EXAMPLE, 'longhaul.yaml'), env);
  return { source: scale.source, controlUrl, warehouseUrl, workers, troubles: () => readTroubles(troubleLog) };
}

/** One word a line. There is no file where nothing went wrong. */
async function readTroubles(file: string): Promise<Map<string, number>> {
  const text = existsSync(file) ? await readFile(file, 'utf8') : '';
  const counts = new Map<string, number>();
  for (const way of text.split('\n').filter((line) => line !== '')) counts.set(way, (counts.get(way) ?? 0) + 1);
  return counts;
}
