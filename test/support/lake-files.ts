import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ColumnShape } from '../../src/core/model.js';
import {
  canDecodeBinary,
  writeDataFiles,
  type WriteOptions,
  type WrittenFiles,
} from '../../src/connectors/lake/columns/index.js';
import type { LakeColumn } from '../../src/connectors/lake/model.js';
import { lakeTypeOf } from '../../src/connectors/lake/types/lake-type-of.js';
import type { ObjectWriter } from '../../src/connectors/objects/store.js';
import { openSession } from '../../src/connectors/postgres/session.js';
import { describeQuery } from '../../src/connectors/postgres/shape.js';
import { CopyOut } from '../../src/connectors/postgres/wire/index.js';
import type { SourceStream } from '../../src/connectors/types.js';

/** A folder of data files, and what became of writers that were not finished. */
export class DataFolder implements AsyncDisposable {
  /** Paths of files that were begun and given up. */
  readonly givenUp: string[] = [];
  #files = 0;

  private constructor(readonly path: string) {}

  static async make(): Promise<DataFolder> {
    return new DataFolder(await mkdtemp(join(tmpdir(), 'longhaul-lake-')));
  }

  readonly nextPath = () => join(this.path, `${this.#files++}.parquet`);

  readonly create = async (path: string): Promise<ObjectWriter> => {
    const file = await open(path, 'w');
    let size = 0;
    let finished = false;
    return {
      write: async (bytes) => {
        await file.writeFile(bytes);
        size += bytes.length;
      },
      finish: () => {
        finished = true;
        return Promise.resolve(size);
      },
      [Symbol.asyncDispose]: async () => {
        await file.close();
        if (!finished) this.givenUp.push(path);
      },
    };
  };

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}

export type Some = Partial<WriteOptions> & Pick<WriteOptions, 'columns'>;

/** Writes a stream with what the options leave out. */
export function writeInto(folder: DataFolder, stream: SourceStream, options: Some): Promise<WrittenFiles> {
  const { signal } = new AbortController();
  const defaults = { compression: 'zstd', targetFileSize: 128 << 20, outOfRange: 'error', partitionBy: [] } as const;
  const { nextPath, create } = folder;
  const meter = { rows: 0, bytes: 0, phase: '' };
  return writeDataFiles(stream, { ...defaults, signal, table: 'table "t"', nextPath, create, ...options }, meter);
}

/** Columns as a lake has them. `types`: what a job declares. */
export function lakeColumns(
  shapes: readonly ColumnShape[],
  types: Readonly<Record<string, string>> = {},
): LakeColumn[] {
  return shapes.map((source) => {
    const answer = lakeTypeOf(source, types[source.name]);
    if ('problem' in answer) throw new Error(answer.problem.message);
    return { name: source.name, type: answer.type, nullable: !source.notNull, source };
  });
}

/** A column of a module's or a program's. */
export function declared(name: string, type: string, notNull = false): ColumnShape {
  return { name, type, definition: type, notNull, generated: false };
}

/** Rows in COPY's text format as a stream, in frames and chunks cut as given. */
export function textStream(
  text: string | Buffer,
  cut: { frame: number; chunk: number } = { frame: 1000, chunk: 77 },
): SourceStream {
  const data = Buffer.from(text);
  const frames: Buffer[] = [];
  for (let at = 0; at < data.length; at += cut.frame) {
    const payload = data.subarray(at, at + cut.frame);
    const header = Buffer.alloc(5, 'd');
    header.writeInt32BE(payload.length + 4, 1);
    frames.push(header, payload);
  }
  const whole = Buffer.concat(frames);
  return {
    ...{ kind: 'bytes', format: 'postgres.copy.text', rows: Promise.resolve(0) },
    async *[Symbol.asyncIterator]() {
      await Promise.resolve();
      for (let at = 0; at < whole.length; at += cut.chunk) yield whole.subarray(at, at + cut.chunk);
    },
  };
}

export type CopyOptions = Omit<Some, 'columns'> & {
  readonly format?: 'binary' | 'text';
  readonly types?: Readonly<Record<string, string>>;
  /** Of columns that have no NULL: a query's result never says so. */
  readonly notNull?: readonly string[];
};

export interface Copied extends WrittenFiles {
  readonly columns: readonly LakeColumn[];
  readonly format: 'binary' | 'text';
}

/** Copies a query's result from a Postgres. `format` absent: binary where it can be. */
export async function copyQuery(
  folder: DataFolder,
  url: string,
  query: string,
  options: CopyOptions = {},
): Promise<Copied> {
  const { format: wanted, types, notNull = [], ...more } = options;
  const config = {
    type: 'postgres',
    name: 'source',
    url,
    settings: {},
    maxSessions: 8,
    ledgerSchema: 'longhaul',
  } as const;
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
  const { signal } = new AbortController();
  await using session = await openSession(config, { signal, log, label: 'test' }, 'source');
  await session.begin('source');
  const shapes = (await describeQuery(session, query)).map((shape) => ({
    ...shape,
    notNull: notNull.includes(shape.name),
  }));
  const columns = lakeColumns(shapes, types);
  const format = wanted ?? (canDecodeBinary(columns) ? 'binary' : 'text');
  const sql = `COPY (${query}) TO STDOUT (FORMAT ${format})`;
  const stream = new CopyOut(session.client, { sql, format: `postgres.copy.${format}`, signal });
  return { ...(await writeInto(folder, stream, { columns, ...more })), columns, format };
}
