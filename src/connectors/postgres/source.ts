import type { Partition, QuerySpec, TableRecord, TableSpec } from '../../core/model.js';
import { jobInvalid } from '../../core/errors.js';
import type { ByteStream, Finding, PlanInput, SessionOptions, SourceSession, SourceTable } from '../types.js';
import { relationsLike } from './catalog.js';
import type { PostgresConnectionConfig } from './config.js';
import { describeQueries } from './describe-queries.js';
import { describeTable } from './describe-table.js';
import { identityOf } from './identity.js';
import { planTable } from './plan.js';
import { openSession, type PgSession } from './session.js';
import { formatRelation, parsePattern } from './sql.js';
import { beginReading, openStream } from './stream.js';
import { verifyTable } from './unchanged.js';

/** The oldest server that is read from. */
const OLDEST = 12;

/** Opens a session that reads. Throws as `openSession`. */
export async function openSourceSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
): Promise<SourceSession> {
  return new PostgresSource(await openSession(config, options, 'source'));
}

class PostgresSource implements SourceSession {
  constructor(private readonly session: PgSession) {}

  async checkServer(): Promise<Finding[]> {
    const major = Math.floor(this.session.serverVersion / 10_000);
    if (major < OLDEST) return [tooOld(this.session.name, major)];
    const standby = await this.#reading(() => standbyState(this.session));
    return standby === 'without feedback' ? [standbyWarning(this.session.name)] : [];
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
    const begin = () => this.session.begin('source');
    return this.#reading(
      () => planTable(this.session, record),
      () => beginReading(this.session, record, begin),
    );
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

function tooOld(name: string, major: number): Finding {
  return {
    severity: 'problem',
    path: '',
    message: `connection "${name}" is Postgres ${major}; Longhaul reads from ${OLDEST} and newer`,
  };
}

function standbyWarning(name: string): Finding {
  return {
    severity: 'warning',
    path: '',
    message: `connection "${name}" is a standby without hot_standby_feedback: a vacuum on the primary can end long reads`,
    fix: 'set hot_standby_feedback = on at the standby, or read from the primary',
  };
}

async function standbyState(session: PgSession): Promise<'primary' | 'with feedback' | 'without feedback'> {
  const [row] = await session.query<{ standby: boolean; feedback: boolean }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('hot_standby_feedback')::bool AS feedback`,
  );
  if (!row!.standby) return 'primary';
  return row!.feedback ? 'with feedback' : 'without feedback';
}
