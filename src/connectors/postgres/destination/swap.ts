import type { TableRecord } from '../../../core/model.js';
import type { PgSession } from '../session.js';
import { commentTable, quoteIdent, quoteRelation, requireRelation, type Relation } from '../sql.js';
import { dependentsOf } from './dependents.js';
import { copyGrants } from './grants.js';
import { indexPlans, type IndexPlan } from './indexes.js';
import { firstRow } from './queries.js';
import { advance, ownedSequences, succeed, type LastValues, type OwnedSequence } from './sequences.js';
import { findRelation, type Target } from './target.js';
import { targetChanged } from './target-changed.js';

/** Staging and, if there is one, the target: both locked ACCESS EXCLUSIVE by the caller's transaction. */
export interface Swap {
  readonly record: TableRecord;
  readonly staging: Relation & { readonly oid: number };
  readonly target: Target | undefined;
  readonly last: LastValues;
}

/** Staging takes the target's name and everything that dependents.ts says is kept; then the old table is dropped. */
export async function swapIn(session: PgSession, swap: Swap): Promise<void> {
  const { record, staging, target } = swap;
  const plans = await indexPlans(session, record, staging, target);
  await requireBuilt(session, swap, plans);
  if (target) await replaceTarget(session, swap, target);
  else await session.query(commentTable(staging, record.shape.comment));
  const name = requireRelation(record.spec.to).name;
  await session.query(`ALTER TABLE ${quoteRelation(staging)} RENAME TO ${quoteIdent(name)}`);
  for (const plan of plans) await renameIndex(session, staging.schema, name, plan);
}

/** An index that the target got or lost after the building would be missing, or too many. */
async function requireBuilt(session: PgSession, { record, staging }: Swap, plans: IndexPlan[]): Promise<void> {
  const rows = await session.query<{ name: string }>(
    `SELECT i.relname::text AS name FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = $1`,
    [staging.oid],
  );
  const built = new Set(rows.map(({ name }) => name));
  const missing = plans
    .filter(({ temporary }) => !built.has(temporary))
    .map(({ label }) => `its ${label} is not built yet`);
  const gone = built.size > plans.length - missing.length ? ['it lost an index that was built for the new table'] : [];
  if (missing.length + gone.length > 0) throw targetChanged(session, record, [...missing, ...gone]);
}

async function replaceTarget(session: PgSession, swap: Swap, target: Target): Promise<void> {
  const { record, staging } = swap;
  const dependents = await dependentsOf(session, target);
  if (dependents.length > 0) throw targetChanged(session, record, dependents);
  await takeOver(session, staging, target);
  const identities = await moveSequences(session, swap, target);
  await session.query(`DROP TABLE ${quoteRelation(target)} RESTRICT`);
  for (const { heir, old } of identities) {
    await session.query(`ALTER SEQUENCE ${quoteRelation(heir)} RENAME TO ${quoteIdent(old.name)}`);
  }
}

/** The owner first: grants are made in the owner's name, and a sequence belongs to the owner of its table. */
async function takeOver(session: PgSession, staging: Swap['staging'], target: Target): Promise<void> {
  const table = quoteRelation(staging);
  const old = await firstRow<{ owner: string; foreign: boolean; comment: string | null; identity: string }>(
    session,
    `SELECT quote_ident(pg_get_userbyid(c.relowner)) AS owner, c.relowner <> s.relowner AS foreign,
            quote_literal(obj_description(c.oid, 'pg_class')) AS comment, c.relreplident::text AS identity
     FROM pg_class c, pg_class s WHERE c.oid = $1 AND s.oid = $2`,
    [target.oid, staging.oid],
  );
  if (old!.foreign) await session.query(`ALTER TABLE ${table} OWNER TO ${old!.owner}`);
  await copyGrants(session, target.oid, staging.oid, `TABLE ${table}`);
  await session.query(`COMMENT ON TABLE ${table} IS ${old!.comment ?? 'NULL'}`);
  const identity = REPLICA_IDENTITY[old!.identity];
  if (identity !== undefined) await session.query(`ALTER TABLE ${table} REPLICA IDENTITY ${identity}`);
}

/** By index it was set when the index was built. */
const REPLICA_IDENTITY: Readonly<Record<string, string>> = { f: 'FULL', n: 'NOTHING' };

/** Answers with the identity sequences that get their old name when the old table is gone. */
async function moveSequences(
  session: PgSession,
  { staging, last }: Swap,
  target: Target,
): Promise<{ heir: OwnedSequence; old: OwnedSequence }[]> {
  const heirs = await ownedSequences(session, staging.oid);
  const moved: { heir: OwnedSequence; old: OwnedSequence }[] = [];
  for (const old of await ownedSequences(session, target.oid)) {
    const heir = heirs.find(({ column }) => column === old.column);
    if (old.identity && heir) {
      await succeed(session, heir, old, last.get(old.column));
      moved.push({ heir, old });
    } else {
      await advance(session, old, old, last.get(old.column));
      const owner = `${quoteRelation(staging)}.${quoteIdent(old.column)}`;
      await session.query(`ALTER SEQUENCE ${quoteRelation(old)} OWNED BY ${owner}`);
    }
  }
  return moved;
}

/** Renaming the index of a constraint renames the constraint. */
async function renameIndex(session: PgSession, schema: string, table: string, plan: IndexPlan): Promise<void> {
  const name = plan.name ?? (await freeName(session, schema, `${table}_pkey`));
  await session.query(`ALTER INDEX ${quoteRelation({ schema, name: plan.temporary })} RENAME TO ${quoteIdent(name)}`);
}

/** As Postgres names a primary key of its own: the first that is free, in 63 bytes. */
async function freeName(session: PgSession, schema: string, wanted: string): Promise<string> {
  for (let number = 0; ; number++) {
    const suffix = number === 0 ? '' : String(number);
    const name = `${cutBytes(wanted, 63 - suffix.length)}${suffix}`;
    if ((await findRelation(session, { schema, name })) === undefined) return name;
  }
}

/** At most `limit` bytes of UTF-8, without a broken character at the end. */
function cutBytes(text: string, limit: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > limit) cut = cut.slice(0, -1);
  return cut;
}
