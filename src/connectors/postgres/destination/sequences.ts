import type { TableRecord } from '../../../core/model.js';
import type { PgSession } from '../session.js';
import { quoteIdent, quoteRelation, type Relation } from '../sql.js';
import { copyGrants } from './grants.js';
import { firstRow } from './queries.js';

/** A sequence that belongs to a column of a table. */
export interface OwnedSequence extends Relation {
  readonly oid: number;
  readonly column: string;
  /** Of an identity column: it goes with its table. Otherwise it outlives it, once another owns it. */
  readonly identity: boolean;
  readonly descending: boolean;
  /** Its column holds integers, so that its data has a last value. */
  readonly integer: boolean;
  readonly mayAdvance: boolean;
  /** A literal. */
  readonly comment: string | null;
}

export function ownedSequences(session: PgSession, table: number): Promise<OwnedSequence[]> {
  return session.query<OwnedSequence & { [column: string]: unknown }>(
    `SELECT s.oid, n.nspname::text AS schema, s.relname::text AS name, a.attname::text AS column, d.deptype = 'i' AS identity,
            q.seqincrement < 0 AS descending, a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AS integer,
            has_sequence_privilege(s.oid, 'UPDATE') AND has_sequence_privilege(s.oid, 'SELECT') AS "mayAdvance",
            quote_literal(obj_description(s.oid, 'pg_class')) AS comment
     FROM pg_depend d
     JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
     JOIN pg_sequence q ON q.seqrelid = s.oid
     JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.refobjid = $1 AND d.deptype IN ('a', 'i')
     ORDER BY a.attnum`,
    [table],
  );
}

/** By column: the last value, in its sequence's direction, that was loaded. As text; undefined where there is none. */
export type LastValues = ReadonlyMap<string, string | undefined>;

/** May read the whole of staging, where no index helps: done before anything is locked, when nothing is loaded any more. */
export async function lastValues(
  session: PgSession,
  record: TableRecord,
  staging: Relation,
  sequences: readonly OwnedSequence[],
): Promise<LastValues> {
  const last = new Map<string, string | undefined>();
  for (const { column, integer, descending } of sequences) {
    if (!integer || !record.columns.includes(column)) continue;
    const aggregate = `${descending ? 'min' : 'max'}(${quoteIdent(column)})::text`;
    const row = await firstRow<{ last: string | null }>(
      session,
      `SELECT ${aggregate} AS last FROM ${quoteRelation(staging)}`,
    );
    last.set(column, row?.last ?? undefined);
  }
  return last;
}

/**
 * Sets a sequence to where another is (or itself), or past the data if that is further: else the next INSERT would collide. A
 * sequence that was never used has not given its last value yet.
 */
export async function advance(
  session: PgSession,
  sequence: Relation,
  from: OwnedSequence,
  last: string | undefined,
): Promise<void> {
  const further = from.descending ? '<' : '>';
  const limit = from.descending ? 'greatest($2::bigint, q.seqmin)' : 'least($2::bigint, q.seqmax)';
  await session.query(
    `SELECT setval($1::regclass, CASE WHEN past THEN ${limit} ELSE s.last_value END, past OR s.is_called)
     FROM (SELECT last_value, is_called,
             coalesce($2::bigint ${further} last_value OR ($2::bigint = last_value AND NOT is_called), false) AS past
           FROM ${quoteRelation(from)}) s, pg_sequence q WHERE q.seqrelid = $3::oid`,
    [quoteRelation(sequence), last ?? null, from.oid],
  );
}

/** The new identity sequence of staging takes over what the old one has, but for its name, which is still taken. */
export async function succeed(
  session: PgSession,
  heir: OwnedSequence,
  old: OwnedSequence,
  last: string | undefined,
): Promise<void> {
  await advance(session, heir, old, last);
  await copyGrants(session, old.oid, heir.oid, `SEQUENCE ${quoteRelation(heir)}`);
  if (old.comment !== null) await session.query(`COMMENT ON SEQUENCE ${quoteRelation(heir)} IS ${old.comment}`);
}
