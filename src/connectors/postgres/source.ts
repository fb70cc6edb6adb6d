import type { Partition, QuerySpec, TableRecord, TableSpec } from '../../core/model.js';
import { jobInvalid } from '../../core/errors.js';
import type { ByteStream, Demand, Finding, PlanInput, SessionOptions, SourceSession, SourceTable } from '../types.js';
import { relationsLike } from './catalog.js';
import type { PostgresConnectionConfig } from './config.js';
import { describeQueries } from './describe-queries.js';
import { describeTable } from './describe-table.js';
import { identityOf } from './identity.js';
import { planTable } from './plan.js';
import { openSession, type PgSession } from './session.js';
import { checkSourceServer } from './source-server.js';
import { formatRelation, parsePattern } from './sql.js';
import { openStream } from './stream.js';
import { verifyTable } from './unchanged.js';

/** Opens a session that reads. Throws as `openSession`. */
export async function openSourceSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
): Promise<SourceSession> {
  return new PostgresSource(await openSession(config, options, 'source'));
}

class PostgresSource implements SourceSession {
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
      return { table: { ...table, identity: await identityOf(this.session) }, findings };
    });
  }

  async plan(record: TableRecord): Promise<PlanInput> {
    return this.#reading(() => planTable(this.session, record));
  }

  async stream(record: TableRecord, partition: Partition): Promise<ByteStream> {
    return openStream(this.session, record, partition);
  }

  async verifyUnchanged(record: TableRecord): Promise<void> {
    await this.#reading(() => verifyTable(this.session, record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }

  /** One transaction: everything is seen at one time, under pinned settings, and nothing can be written. */
  async #reading<T>(work: () => Promise<T>): Promise<T> {
    await this.session.begin('source');
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
