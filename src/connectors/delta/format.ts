import { LonghaulError } from '../../core/errors.js';
import type { TableRecord, TableSpec } from '../../core/model.js';
import type { NamedType, Publication, Publishing, Retained, TableFormat } from '../lake/format.js';
import type { LakeColumn } from '../lake/model.js';
import { HIDDEN_FOLDER, tablePath } from '../lake/table-path.js';
import { unknownType } from '../lake/types/index.js';
import type { OpenStore } from '../objects/store.js';
import type { Finding, Log } from '../types.js';
import { writeCheckpoint } from './log/checkpoint.js';
import type { NewTable } from './log/build-commit.js';
import { publishCommit, settle, type FencedTarget } from './log/commit.js';
import { inspectTable } from './log/inspect.js';
import { referencedFiles } from './log/references.js';
import { retainedFiles } from './log/retention.js';
import { fieldsOf, lakeType, typeText, type Written } from './log/schema.js';
import { readState, tableOf } from './log/snapshot.js';
import { expiredEntries } from './log/trim.js';

/** Tables of Delta Lake: what files are a table's is said by the log beside them. */
export class DeltaFormat implements TableFormat {
  readonly ownFolder = HIDDEN_FOLDER;

  constructor(
    private readonly name: string,
    private readonly store: OpenStore,
    private readonly log: Log,
    /** Of Longhaul, for the table's history. */
    private readonly version: string,
  ) {}

  check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<readonly Finding[]> {
    return inspectTable(this.store, tablePath(spec.to)!, written(spec, columns));
  }

  async columns({ to }: TableSpec): Promise<readonly NamedType[] | undefined> {
    const path = tablePath(to)!;
    const read = await readState(this.store, path);
    if (read === undefined) return undefined;
    const { metadata } = tableOf(read.state, path);
    return fieldsOf(metadata).map(({ name, type, nullable }) => {
      const known = lakeType(type);
      if (known === undefined) throw unknownType(this.name, to, name, typeText(type));
      return { name, type: known, nullable };
    });
  }

  async publish(publication: Publication): Promise<void> {
    const { files } = publication;
    const target = { ...this.#target(publication), ...made(publication), files };
    const { version, checkpointDue } = await publishCommit(target);
    if (checkpointDue && version !== undefined) await this.#checkpoint(target.tablePath, version);
  }

  settle(publishing: Publishing): Promise<'published' | 'closed'> {
    return settle({ ...this.#target(publishing), create: made(publishing) });
  }

  async referenced({ to }: TableSpec, folder: string): Promise<ReadonlySet<string>> {
    const paths = new Set<string>();
    for await (const path of referencedFiles(this.store, tablePath(to)!)) if (path.startsWith(folder)) paths.add(path);
    return paths;
  }

  retain({ to }: Pick<TableSpec, 'to'>, older: number): Promise<Retained | undefined> {
    return retainedFiles(this.store, tablePath(to)!, older);
  }

  expired({ to }: Pick<TableSpec, 'to'>, older: number): Promise<readonly string[]> {
    return expiredEntries(this.store, tablePath(to)!, older);
  }

  #target({ record, epoch }: Publishing): FencedTarget {
    return {
      ...{ store: this.store, tablePath: tablePath(record.spec.to)!, epoch, engine: `Longhaul/${this.version}` },
      ...{ appId: appId('longhaul', record), closedAppId: appId('longhaul-closed', record) },
    };
  }

  /** Readers are faster with one, and right without. */
  async #checkpoint(path: string, version: number): Promise<void> {
    try {
      await writeCheckpoint(this.store, path, version);
    } catch (error) {
      if (!(error instanceof LonghaulError)) throw error;
      this.log.warn(
        { connection: this.name, table: path, version, reason: error.message },
        'No checkpoint was written',
      );
    }
  }
}

/** One that no other table or run has, and each attempt at publishing the same. */
function appId(kind: string, { run, spec }: TableRecord): string {
  return `${kind}:${run}:${spec.table}`;
}

function written({ mode, partitionBy = [] }: TableSpec, columns: readonly LakeColumn[]): Written {
  return { columns, partitionBy, mode };
}

/** Where there is no table yet, it gets what is said of the source's. */
function made({ record: { spec, shape }, columns }: Publishing): Written & NewTable {
  const { comment: description } = shape;
  return { ...written(spec, columns), ...(description !== undefined && { description }) };
}
