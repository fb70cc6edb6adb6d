import type { Partition, QuerySpec, TableRecord, TableSpec } from '../../core/model.js';
import { jobInvalid } from '../../core/errors.js';
import type { DigestForm, Digester } from '../digester.js';
import type { ByteStream, Demand, Finding, PlanInput, SessionOptions, SourceSession, SourceTable } from '../types.js';
import { relationsLike } from './catalog.js';
import type { PostgresConnectionConfig } from './config.js';
import { describeQueries } from './describe-queries.js';
import { describeTable } from './describe-table.js';
import { foreignFindings } from './foreign-tables.js';
import { formName, sourceExpressions } from './digest/columns.js';
import { hashingOf, PostgresDigester } from './digest/digester.js';
import { identityOf } from './identity.js';
import { planTable } from './plan.js';
import { openSession, type PgSession } from './session.js';
import { checkSourceServer } from './source-server.js';
import { formatRelation, parsePattern } from './sql.js';
import { beginReading, openPartition, openStream, type OpenPartition } from './stream.js';
import { verifyTable } from './unchanged.js';

/** Opens a session that reads. Throws as `openSession`. */
export async function openSourceSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
): Promise<SourceSession> {
  return new PostgresSource(await openSession(config, options, 'source'));
}

class PostgresSource implements SourceSession {
  /** The partition whose stream was opened, in the transaction that goes on after it. */
  #streamed: { readonly ordinal: number; readonly open: OpenPartition } | undefined;

  constructor(private readonly session: PgSession) {}

  identity(): Promise<string> {
    return identityOf(this.session);
  }

  checkServer(demand: Demand): Promise<Finding[]> {
    return checkSourceServer(this.session, demand);
  }

  async expand(pattern: string): Promise<string[]> {
    const like = parsePattern(pattern);
    if (like === undefined) throw jobInvalid([notAPattern(pattern)]);
    const found = await this.#reading(() => relationsLike(this.session, like, this.session.config.ledgerSchema));
    return found.map(formatRelation);
  }

  async describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }> {
    return this.#reading(async () => {
      const { table, findings } = hasQueries(spec)
        ? await describeQueries(this.session, spec)
        : await describeTable(this.session, { ...spec, from: spec.from ?? spec.table });
      if (table === undefined) return { findings };
      findings.push(...(await foreignFindings(this.session, spec)));
      return { table: { ...table, identity: await identityOf(this.session) }, findings };
    });
  }

  async plan(record: TableRecord): Promise<PlanInput> {
    const begin = () => this.session.begin('source');
    return this.#reading(
      () => planTable(this.session, record),
      () => beginReading(this.session, record, begin),
    );
  }

  async stream(record: TableRecord, partition: Partition): Promise<ByteStream> {
    const open = await openPartition(this.session, record, partition);
    this.#streamed = { ordinal: partition.ordinal, open };
    return openStream(this.session, record, open);
  }

  digester(record: TableRecord, form: DigestForm): Digester {
    const names = form.map(({ name }) => name);
    const { primaryKey } = record.shape;
    const hashing = hashingOf(formName(form), names, sourceExpressions(record, form), primaryKey);
    return new PostgresDigester(this.session, hashing, (partition, work) => this.#over(record, partition, work));
  }

  /** In the transaction of the partition's stream, so that the same rows are seen, or in one of its own. */
  async #over<T>(record: TableRecord, partition: Partition, work: (from: string) => Promise<T>): Promise<T> {
    if (this.#streamed?.ordinal === partition.ordinal) return work(this.#streamed.open.from);
    try {
      const { from } = await openPartition(this.session, record, partition);
      return await work(from);
    } finally {
      await this.session.rollback();
    }
  }

  async verifyUnchanged(record: TableRecord): Promise<void> {
    await this.#reading(() => verifyTable(this.session, record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }

  /** One transaction: everything is seen at one time, under pinned settings, and nothing can be written. */
  async #reading<T>(work: () => Promise<T>, begin = () => this.session.begin('source')): Promise<T> {
    await begin();
    try {
      return await work();
    } finally {
      await this.session.rollback();
    }
  }
}

function hasQueries(spec: TableSpec): spec is TableSpec & { readonly queries: readonly QuerySpec[] } {
  return spec.queries !== undefined;
}

function notAPattern(pattern: string) {
  return { path: '', message: `"${pattern}" is not a pattern of tables`, fix: 'write it as schema.* or schema.name_*' };
}
