import type { TableSpec } from '../../core/model.js';
import { didYouMean } from '../../core/suggest.js';
import { problem } from '../findings.js';
import type { Finding, SourceTable } from '../types.js';
import { findRelation, leavesDigest, leavesOf, readableRelations, type RelationInfo } from './catalog.js';
import { selectColumns } from '../columns.js';
import { copyFormats } from './formats.js';
import { partitionFindings } from './partition-findings.js';
import { probe } from './probe.js';
import type { PgSession } from './session.js';
import { commentOf, describeColumns, primaryKeyOf, shapeOf, withoutPrivilege } from './shape.js';
import { formatRelation, parseRelation, quoteIdent, quoteRelation } from './sql.js';

export interface Description {
  /** Absent when nothing can be said of it; present also beside problems, so that the destination's are found with them. */
  readonly table?: Omit<SourceTable, 'identity'>;
  readonly findings: Finding[];
}

/** Describes a relation and everything that would keep it from being read. In a transaction of the source. */
export async function describeTable(
  session: PgSession,
  spec: TableSpec & { readonly from: string },
): Promise<Description> {
  const relation = await resolve(session, spec.from);
  if ('message' in relation) return { findings: [relation] };
  const columns = await describeColumns(session, relation);
  const { selected, findings } = selectColumns(spec, columns);
  const leaves = await leavesOf(session, relation);
  const denied = await privilegeFindings(session, relation, leaves);
  findings.push(...denied);
  // These ask the table itself.
  if (denied.length === 0) {
    findings.push(...(await whereFindings(session, relation, spec.where)));
    findings.push(...(await partitionFindings(session, relation, spec)));
  }
  if (selected.length === 0) return { findings };
  const shape = shapeOf(session, columns.map(withoutPrivilege), await primaryKeyOf(session, relation));
  const table = {
    shape: { ...shape, leaves: (await leavesDigest(session, relation))!, ...(await commentOf(session, relation)) },
    columns: selected.map(({ name }) => name),
    formats: copyFormats(selected),
    bytes: leaves.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  return { table, findings };
}

async function resolve(session: PgSession, from: string): Promise<RelationInfo | Finding> {
  const name = parseRelation(from);
  if (name === undefined) return problem('from', `"${from}" is not the name of a table`, 'write it as schema.table');
  const found = await findRelation(session, name);
  if (found !== undefined) return found;
  const near = didYouMean(formatRelation(name), (await readableRelations(session)).map(formatRelation));
  return problem(
    'from',
    `there is no table ${formatRelation(name)} in connection "${session.name}"`,
    near === undefined ? 'names are exact: look at their schema and capital letters' : `did you mean ${near}?`,
  );
}

/** As many findings of one kind as are shown. */
const SHOWN = 5;

/** Partitions and children are read by their own names, so that their own privileges and policies count. */
async function privilegeFindings(
  session: PgSession,
  relation: RelationInfo,
  leaves: readonly RelationInfo[],
): Promise<Finding[]> {
  const all = [relation, ...leaves.filter(({ oid }) => oid !== relation.oid)];
  const [{ role }] = (await session.query<{ role: string }>('SELECT current_user AS role')) as [{ role: string }];
  const denied = all.filter(({ maySelect }) => !maySelect).slice(0, SHOWN);
  const filtered = all.filter(({ rowSecurity }) => rowSecurity).slice(0, SHOWN);
  const schemas = new Set(all.filter(({ mayUseSchema }) => !mayUseSchema).map(({ schema }) => schema));
  return [
    ...[...schemas].map((schema) => mayNotUse(role, schema)),
    ...denied.map((table) => mayNotRead(role, table)),
    ...filtered.map((table) => hiddenRows(role, table)),
  ];
}

function mayNotUse(role: string, schema: string): Finding {
  const grant = `GRANT USAGE ON SCHEMA ${quoteIdent(schema)} TO ${quoteIdent(role)};`;
  return problem('from', `role ${role} may not use schema ${schema}`, `run ${grant}`);
}

function mayNotRead(role: string, table: RelationInfo): Finding {
  const grant = `GRANT SELECT ON ${quoteRelation(table)} TO ${quoteIdent(role)};`;
  return problem('from', `role ${role} may not read ${formatRelation(table)}`, `run ${grant}`);
}

function hiddenRows(role: string, table: RelationInfo): Finding {
  const message = `row security of ${formatRelation(table)} may hide rows from role ${role}`;
  return problem('from', message, 'use the owner of the table, or a role with BYPASSRLS');
}

/**
 * The condition must be one by itself, and in parentheses too: only then it can't reach out of the parentheses in which every
 * partition has it.
 */
async function whereFindings(
  session: PgSession,
  relation: RelationInfo,
  where: string | undefined,
): Promise<Finding[]> {
  if (where === undefined) return [];
  // Nothing behind the condition, or the server would complain of that.
  const select = `EXPLAIN SELECT FROM ONLY ${quoteRelation(relation)} WHERE`;
  const wrong = (await probe(session, `${select} ${where}`)) ?? (await probe(session, `${select} (\n${where}\n)`));
  return wrong === undefined ? [] : [problem('where', wrong.message, 'write one condition in the SQL of the source')];
}
