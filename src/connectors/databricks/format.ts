import { reach } from '../../core/fail-points.js';
import type { TableRecord, TableSpec } from '../../core/model.js';
import type { NamedType, Publication, Publishing, TableFormat } from '../lake/format.js';
import type { LakeColumn } from '../lake/model.js';
import { unknownType } from '../lake/types/index.js';
import { problem } from '../findings.js';
import type { Finding } from '../types.js';
import { checkTarget, createTarget, describeTarget } from './check.js';
import type { WarehouseClient } from './client.js';
import { typeNamed } from './names.js';
import { cleanUp, publishToWarehouse, settle, type Publication as ToWarehouse } from './publish.js';
import type { VolumeStore } from './volume-store.js';
import { targetOf } from './workspace.js';

/** Tables of Unity Catalog that a SQL warehouse loads from files of a volume. */
export class DatabricksFormat implements TableFormat {
  /** Spark passes over parts of a path that begin with an underscore, and a file that COPY INTO passes over is a row that is missing. */
  readonly ownFolder = 'longhaul_data';

  constructor(
    private readonly client: WarehouseClient,
    private readonly store: VolumeStore,
  ) {}

  async check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<readonly Finding[]> {
    const { findings } = await checkTarget(this.client, this.#target(spec), columns, spec.mode);
    return [...findings, ...partitioned(spec)];
  }

  async columns(spec: TableSpec): Promise<readonly NamedType[] | undefined> {
    const found = await describeTarget(this.client, this.#target(spec));
    return found?.columns.map(({ name, type, nullable }) => {
      const known = typeNamed(type);
      if (known === undefined) throw unknownType(this.client.config.name, spec.to, name, type);
      return { name, type: known, nullable };
    });
  }

  /** A new table is made first, empty: what publishes into it is a statement of its own. */
  async publish(publication: Publication): Promise<void> {
    const { stillPublishing, phase, record, columns } = publication;
    await stillPublishing();
    await createTarget(this.client, this.#target(record.spec), columns, record.shape.comment);
    const ready = async () => {
      await stillPublishing();
      await reach('publish: before COMMIT');
    };
    await publishToWarehouse({ ...this.#toWarehouse(publication), stillPublishing: ready, phase });
  }

  settle(publishing: Publishing): Promise<'published' | 'closed'> {
    return settle({ ...this.#toWarehouse(publishing), stillPublishing: () => Promise.resolve() });
  }

  /** The warehouse has its own copy of the rows. */
  referenced(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  /** That of earlier snapshots too: a table that started over while it was published has left it. */
  async cleanUp({ run, spec, snapshot = 0 }: TableRecord): Promise<void> {
    for (let each = Math.min(1, snapshot); each <= snapshot; each++)
      await cleanUp({ client: this.client, store: this.store }, { run, table: spec.table, snapshot: each });
  }

  #toWarehouse({ record, columns, epoch, rows, files }: Publishing): Omit<ToWarehouse, 'stillPublishing'> {
    const { run, spec, snapshot } = record;
    return {
      ...{ client: this.client, store: this.store, target: this.#target(spec), mode: spec.mode },
      ...{ run, table: spec.table, ...(snapshot !== undefined && { snapshot }) },
      ...{ columns, epoch, rows, files: () => files },
    };
  }

  #target({ to }: TableSpec) {
    return targetOf(to, this.client.config);
  }
}

function partitioned({ partitionBy }: TableSpec): Finding[] {
  if (partitionBy === undefined) return [];
  const message = 'is not for a warehouse, which lays its tables out by itself';
  const fix = 'take it out, and create the table beforehand with PARTITIONED BY or CLUSTER BY, if it is to have one';
  return [problem('partitionBy', message, fix)];
}
