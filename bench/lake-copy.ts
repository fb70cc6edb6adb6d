/**
 * One contestant of bench/lake.ts in a process of its own: queries of a Postgres into Parquet files of a folder, all at the same time, by the
 * functions that a lake's destination calls. Prints what it took as JSON.
 *
 *   node dist/bench/lake-copy.js <compression> <query>…      LAKE_SOURCE_URL=postgres://…  LAKE_FORMAT=binary|text  LAKE_FOLDER=…
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { canDecodeBinary, writeDataFiles } from '../src/connectors/lake/columns/index.js';
import type { LakeColumn } from '../src/connectors/lake/model.js';
import { lakeTypeOf } from '../src/connectors/lake/types/lake-type-of.js';
import type { ObjectWriter } from '../src/connectors/objects/store.js';
import { openSession } from '../src/connectors/postgres/session.js';
import { describeQuery } from '../src/connectors/postgres/shape.js';
import { CopyOut } from '../src/connectors/postgres/wire/index.js';
import { cpuSeconds, memoryMB } from './proc.js';

const [compression, ...queries] = process.argv.slice(2) as ['zstd' | 'snappy', ...string[]];
const folder = process.env.LAKE_FOLDER!;
const config = {
  ...{ type: 'postgres' as const, name: 'source', url: process.env.LAKE_SOURCE_URL!, settings: {} },
  ...{ maxSessions: 8, ledgerSchema: 'longhaul' },
};
const { signal } = new AbortController();
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

async function fileWriter(path: string): Promise<ObjectWriter> {
  const file = await open(path, 'w');
  let size = 0;
  return {
    async write(bytes) {
      await file.write(bytes);
      size += bytes.length;
    },
    finish: () => Promise.resolve(size),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function copy(query: string, number: number) {
  await using session = await openSession(config, { signal, log, label: 'bench' }, 'source');
  await session.begin('source');
  const columns = (await describeQuery(session, query)).map((source): LakeColumn => {
    const answer = lakeTypeOf(source);
    if ('problem' in answer) throw new Error(answer.problem.message);
    return { name: source.name, type: answer.type, nullable: !source.notNull, source };
  });
  const binary = canDecodeBinary(columns) && process.env.LAKE_FORMAT !== 'text';
  const stream = new CopyOut(session.client, {
    sql: `COPY (${query}) TO STDOUT (FORMAT ${binary ? 'binary' : 'text'})`,
    format: binary ? 'postgres.copy.binary' : 'postgres.copy.text',
    signal,
  });
  let files = 0;
  return await writeDataFiles(
    stream,
    {
      ...{ columns, partitionBy: [], compression, targetFileSize: 128 << 20, outOfRange: 'error', signal },
      ...{ table: 'table lineitem', create: fileWriter, nextPath: () => join(folder, `${number}-${files++}.parquet`) },
    },
    { rows: 0, bytes: 0, phase: '' },
  );
}

const begun = performance.now();
const written = await Promise.all(queries.map(copy));
const stages = { decode: 0, encode: 0, compress: 0 };
for (const { stages: one } of written)
  for (const name of ['decode', 'encode', 'compress'] as const) stages[name] += one[name] / 1000;
console.log(
  JSON.stringify({
    rows: written.reduce((sum, { rows }) => sum + rows, 0),
    files: written.flatMap(({ files }) => files.map(({ path }) => path)),
    seconds: (performance.now() - begun) / 1000,
    cpuSeconds: await cpuSeconds(process.pid),
    peakMB: await memoryMB(process.pid, 'VmHWM'),
    stages,
  }),
);
