import type { BuildStep } from '../../../core/activities.js';
import type { Partition, Receipt, ReceiptTotals, TableRecord, TableSpec } from '../../../core/model.js';
import type { DigestForm, TableDigester } from '../../digester.js';
import type {
  Demand,
  DestinationSession,
  Finding,
  Meter,
  PartitionWriter,
  SessionOptions,
  SourceTable,
  StagingTable,
  TargetCheck,
} from '../../types.js';
import type { PostgresConnectionConfig } from '../config.js';
import { identityOf } from '../identity.js';
import { openSession, type PgSession } from '../session.js';
import { beginPartition } from './attempt.js';
import { build, buildSteps } from './build.js';
import { checkTarget } from './check.js';
import { digestForm, PostgresTableDigester } from './digester.js';
import { discard } from './discard.js';
import { orphans } from './housekeeping.js';
import { ledgerNames } from './ledger-schema.js';
import { PostgresLedger } from './ledger.js';
import { prepare } from './prepare.js';
import { publish } from './publish.js';
import { checkDestinationServer } from './server.js';
import { spaceFindings } from './space.js';
import { PUBLISH_TUNING, type PublishTuning } from './tuning.js';

/** One server session, on which at most one thing is done at a time. Throws as `openSession` does. */
export async function openDestinationSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
  tuning: PublishTuning = PUBLISH_TUNING,
): Promise<DestinationSession> {
  return new PostgresDestination(await openSession(config, options, 'destination'), tuning);
}

class PostgresDestination implements DestinationSession {
  readonly ledger: PostgresLedger;

  constructor(
    private readonly session: PgSession,
    private readonly tuning: PublishTuning,
  ) {
    this.ledger = new PostgresLedger(session, ledgerNames(session.config.ledgerSchema));
  }

  identity(): Promise<string> {
    return identityOf(this.session);
  }

  checkServer(demand: Demand): Promise<Finding[]> {
    return checkDestinationServer(this.session, this.ledger.names, demand);
  }

  checkSpace(tables: readonly { readonly to: string; readonly bytes: number }[]): Promise<Finding[]> {
    return spaceFindings(this.session, tables);
  }

  check(spec: TableSpec, source: SourceTable): Promise<TargetCheck> {
    return checkTarget(this.session, spec, source);
  }

  prepare(record: TableRecord): Promise<void> {
    return prepare(this.session, this.ledger.names, record);
  }

  begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt> {
    return beginPartition(this.session, this.ledger.names, record, partition, attempt);
  }

  buildSteps(record: TableRecord): Promise<BuildStep[]> {
    return buildSteps(this.session, record);
  }

  build(record: TableRecord, step: BuildStep, meter: Meter): Promise<void> {
    return build(this.session, this.ledger.names, record, step, meter);
  }

  publish(record: TableRecord, meter: Meter): Promise<ReceiptTotals> {
    const { session, tuning } = this;
    return publish({ session, names: this.ledger.names, record, meter, tuning });
  }

  digestForm(record: TableRecord): Promise<DigestForm> {
    return digestForm(this.session, record);
  }

  digester(record: TableRecord, form: DigestForm): TableDigester {
    return new PostgresTableDigester(this.session, record, form);
  }

  discard(record: TableRecord): Promise<void> {
    return discard(this.session, this.ledger.names, record);
  }

  orphans(): Promise<readonly StagingTable[]> {
    return orphans(this.session, this.ledger.names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}
