import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { expect } from 'vitest';
import type { StoreLocation } from '../../src/connectors/objects/open.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import type { FailPoint } from '../../src/core/fail-points.js';
import { FailingProcesses, type FailingWorker, type FrozenWorker } from './failing-workers.js';
import { runSql } from './postgres.js';
import type { TestTemporal } from './temporal.js';

/** Rows of each table, in two partitions. */
export const ROWS = 1_000;

/** A source, lakes, and worker processes that fail by plan. */
export class LakeStage {
  private constructor(
    private readonly temporal: TestTemporal,
    readonly taskQueue: string,
    private readonly sourceUrl: string,
    private readonly processes: FailingProcesses,
    private readonly folder: string,
  ) {}

  static async make(
    temporal: TestTemporal,
    sourceUrl: string,
    lakes: readonly { readonly connection: string; readonly type: string; readonly location: StoreLocation }[],
  ): Promise<LakeStage> {
    await runSql(sourceUrl, 'CREATE SCHEMA s');
    const folder = await mkdtemp(join(tmpdir(), 'longhaul-lake-stage-'));
    const taskQueue = temporal.unique('lakes');
    const lines = lakes.map(
      ({ connection, type, location }) => `  ${connection}: {type: ${type}, ${placeOf(location)}}\n`,
    );
    await writeFile(
      join(folder, 'longhaul.yaml'),
      `connections:\n  shop: {type: postgres, url: "${sourceUrl}", maxSessions: 120}\n${lines.join('')}` +
        `worker: {taskQueue: ${taskQueue}, maxConcurrentPartitions: 200, shutdownGrace: 5s, logLevel: info}\n`,
    );
    const processes = new FailingProcesses(folder, temporal.address);
    return new LakeStage(temporal, taskQueue, sourceUrl, processes, folder);
  }

  async createTables(tables: readonly string[]): Promise<void> {
    const made = tables.map(
      (table) => `CREATE TABLE ${table} (id int PRIMARY KEY, gen int NOT NULL, note text);
       INSERT INTO ${table} SELECT n, 1, repeat(md5(n || '${table}'), 6) FROM generate_series(1, ${ROWS}) n; ANALYZE ${table};`,
    );
    await runSql(this.sourceUrl, made.join('\n'));
  }

  start(
    workflowId: string,
    destination: string,
    tables: readonly string[],
    more: object = {},
  ): Promise<WorkflowHandleWithFirstExecutionRunId> {
    const entries = tables.map((table) => ({ from: table, to: table, partition: { by: ['id'], count: 2 } }));
    const job = {
      name: workflowId,
      source: 'shop',
      destination,
      parallelism: 100,
      retry: RETRY,
      tables: entries,
      ...more,
    };
    return this.temporal.client.workflow.start('copyJob', { taskQueue: this.taskQueue, workflowId, args: [job] });
  }

  startWorker(failures?: Readonly<Record<string, { readonly stop: FailPoint | 'any' }>>): Promise<FailingWorker> {
    return this.processes.start(failures);
  }

  startFrozen(points: Readonly<Record<string, FailPoint>>): Promise<FrozenWorker> {
    return this.processes.startFrozen(points);
  }

  async clean(destination: string, run: string): Promise<void> {
    const args = [{ destination, runs: [run], forget: true }];
    const options = { taskQueue: this.taskQueue, workflowId: this.temporal.unique('clean'), args };
    expect(await this.temporal.client.workflow.execute('cleanRuns', options)).toEqual({ left: [] });
  }

  /** Every data file that is there, whoever needs it. */
  async dataFiles(store: ObjectStore, to: string): Promise<string[]> {
    const files: string[] = [];
    for await (const page of store.list(`${tablePath(to)!}/_longhaul/`))
      files.push(...page.map(({ path }) => path).filter((path) => path.endsWith('.parquet')));
    return files;
  }

  async stop(): Promise<void> {
    await this.processes.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function placeOf(location: StoreLocation): string {
  if (location.kind === 'local') return `path: "${location.path}"`;
  const { bucket, prefix, endpoint, credentials } = location;
  const { accessKeyId, secretAccessKey } = credentials!;
  return `path: "s3://${bucket}/${prefix}", s3: {endpoint: "${endpoint}", region: us-east-1, accessKeyId: "${accessKeyId}", secretAccessKey: "${secretAccessKey}"}`;
}

const RETRY = { heartbeatTimeout: '5s', initialInterval: '1s', maximumInterval: '2s', maximumCrashes: 100 };
