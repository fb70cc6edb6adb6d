import type { BuildStep } from '../../../core/activities.js';
import { reach } from '../../../core/fail-points.js';
import type { Partition, Receipt, TableRecord, TableSpec } from '../../../core/model.js';
import { runClosed, startedOver } from '../../run-closed.js';
import type {
  DestinationSession,
  Finding,
  Meter,
  PartitionWriter,
  PublishedTable,
  SourceTable,
  TargetCheck,
  VacuumedTable,
  VacuumOptions,
} from '../../types.js';
import type { LakeLedger } from '../ledger/index.js';
import { checkTable } from './check.js';
import type { LakeContext } from './context.js';
import { discard } from './discard.js';
import { publishTable } from './publish.js';
import { vacuum } from './vacuum.js';
import { LakeWriter } from './writer.js';

export type { FileSettings, LakeContext } from './context.js';

/** Where the lake is and whether it can be one. */
export interface LakePlace {
  /** The same for every worker that is led to it. */
  readonly identity: string;
  /** What stands in the way of keeping a lake there. */
  check(): Promise<Finding[]>;
}

/** A destination of files in an object store and of tables that are made of them. Sessions have no state beside their requests. */
export class LakeDestination implements DestinationSession {
  constructor(
    private readonly context: LakeContext,
    private readonly place: LakePlace,
  ) {}

  get ledger(): LakeLedger {
    return this.context.ledger;
  }

  identity(): Promise<string> {
    return Promise.resolve(this.place.identity);
  }

  checkServer(): Promise<Finding[]> {
    return this.place.check();
  }

  check(spec: TableSpec, source: SourceTable): Promise<TargetCheck> {
    return checkTable(this.context.format, spec, source);
  }

  /** Files need no preparation, but for the run to be open. */
  async prepare({ run, spec, snapshot }: TableRecord): Promise<void> {
    await reach('prepare: before lock');
    const { state, snapshot: now } = await this.ledger.table(run, spec.table);
    if (state === 'publishing' || state === 'published') return;
    if (state !== 'open') throw runClosed({ run, table: spec.table }, state);
    if (now !== snapshot) throw startedOver({ run, table: spec.table }, now);
  }

  async begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt> {
    await reach('copy: before lock');
    const stored = await this.ledger.claim(record, partition);
    return stored ?? new LakeWriter(this.context, record, partition, attempt);
  }

  buildSteps(): Promise<BuildStep[]> {
    return Promise.resolve([]);
  }

  build(): Promise<void> {
    return Promise.resolve();
  }

  publish(record: TableRecord, meter: Meter): Promise<PublishedTable> {
    return publishTable(this.context, record, meter);
  }

  discard(record: TableRecord): Promise<void> {
    return discard(this.context, record);
  }

  vacuum(options: VacuumOptions): AsyncIterable<VacuumedTable> {
    return vacuum(this.context, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.store[Symbol.asyncDispose]();
  }
}
