import type { DataFile, LakeColumn } from '../../lake/model.js';
import { verifiedFiles } from '../../lake/verified-files.js';
import type { ObjectStore } from '../../objects/store.js';
import { encodePath } from './actions.js';
import { partitionValueText } from './partition-value.js';
import { statsJson } from './statistics.js';

/** Data files on their way into a commit: each a line of JSON without its last brackets, for what is known only when it is made. */
export interface Adds {
  readonly lines: readonly Buffer[];
  /** Of each file. */
  readonly rows: readonly number[];
  readonly totalRows: number;
  readonly bytes: number;
}

export interface AddOptions {
  readonly store: ObjectStore;
  readonly tablePath: string;
  /** Those of which the table has statistics. */
  readonly indexed: readonly LakeColumn[];
  /** Those that are written. */
  readonly columns: readonly LakeColumn[];
  readonly partitionBy: readonly string[];
  /** In ms since 1970. */
  readonly now: number;
}

/** Throws TargetChanged where a file is not as it was written. */
export async function collectAdds(files: AsyncIterable<DataFile>, options: AddOptions): Promise<Adds> {
  const adds = { lines: [] as Buffer[], rows: [] as number[], totalRows: 0, bytes: 0 };
  for await (const file of verifiedFiles(options.store, files, `Delta table ${options.tablePath}`)) {
    adds.lines.push(Buffer.from(addLine(file, options)));
    adds.rows.push(file.rows);
    adds.totalRows += file.rows;
    adds.bytes += file.size;
  }
  return adds;
}

function addLine(file: DataFile, { tablePath, indexed, columns, partitionBy, now }: AddOptions): string {
  const values = Object.fromEntries(
    partitionBy.map((name) => {
      const { type } = columns.find((column) => column.name === name)!;
      return [name, partitionValueText(name, type, partitionValue(file, name))];
    }),
  );
  const add = {
    path: encodePath(relativePath(file.path, tablePath)),
    partitionValues: values,
    size: file.size,
    modificationTime: now,
    dataChange: true,
    stats: statsJson(file, indexed),
  };
  return `{"add":${JSON.stringify(add).slice(0, -1)}`;
}

function partitionValue({ path, partitionValues }: DataFile, name: string): string | null {
  const value = partitionValues?.[name];
  if (value === undefined) throw new Error(`data file ${path} has no partition value of ${name}`);
  return value;
}

function relativePath(path: string, tablePath: string): string {
  if (path.startsWith(`${tablePath}/`)) return path.slice(tablePath.length + 1);
  throw new Error(`data file ${path} is not below ${tablePath}/`);
}
