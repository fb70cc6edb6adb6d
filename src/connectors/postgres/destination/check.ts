import type { ColumnShape, TableSpec } from '../../../core/model.js';
import { problem, warning } from '../../findings.js';
import type { Finding, Format, SourceTable, TargetCheck } from '../../types.js';
import { compareColumns, type Comparison } from '../formats.js';
import type { PgSession } from '../session.js';
import { describeColumns, describeQuery } from '../shape.js';
import { formatRelation, parseRelation, quoteIdent } from '../sql.js';
import { copiedOf, fitUncatalogued, type Fit } from './check-columns.js';
import { dependentsOf } from './dependents.js';
import { privilegeFindings, publicationFindings, schemaFindings } from './privileges.js';
import { transaction } from './queries.js';
import { ownedSequences } from './sequences.js';
import { findTarget, targetFingerprint, type Target } from './target.js';

/** See `DestinationSession.check`. */
export async function checkTarget(session: PgSession, spec: TableSpec, source: SourceTable): Promise<TargetCheck> {
  const relation = parseRelation(spec.to);
  if (!relation) {
    const message = `"${spec.to}" is not the name of a table`;
    return { fingerprint: '', findings: [problem('to', message, 'write it as schema.table')] };
  }
  if (source.columns.length === 0 && !source.inferred) {
    return { fingerprint: '', findings: [problem('columns', 'no column is left to copy', 'copy at least one')] };
  }
  const lake = lakeFindings(spec);
  return transaction(session, async () => {
    const target = await findTarget(session, spec.to);
    // Rows that go straight into a table that is there need no other beside it.
    const direct = spec.publish === 'partition' && target !== undefined;
    const schema = direct
      ? []
      : [...(await schemaFindings(session, relation)), ...(await publicationFindings(session, relation))];
    const fit = await fitOf(session, spec, source, target);
    const columns = fit.shape?.columns.map(({ name }) => name) ?? source.columns;
    const rights = target ? await existingFindings(session, spec, columns, target) : [];
    const fingerprint = await targetFingerprint(session, target, spec);
    const format = source.formats.find((offered) => fit.formats.includes(offered));
    const findings = [...lake, ...schema, ...fit.findings, ...rights, ...formatFindings(spec, source, fit, format)];
    return { fingerprint, findings, ...(format && { format }), ...(fit.shape && { shape: fit.shape }) };
  });
}

/** Keys of a table that only a lake honours. */
function lakeFindings(spec: TableSpec): Finding[] {
  const given = (['partitionBy', 'types'] as const).filter((key) => spec[key] !== undefined);
  return given.map((key) => problem(key, 'is for a lake: a table in Postgres is not made by it', 'take it out'));
}

function formatFindings(
  { rejects }: TableSpec,
  { formats }: SourceTable,
  fit: Fit,
  format: Format | undefined,
): Finding[] {
  if (rejects && !formats.includes('rows')) {
    const message = `the source sends its data in a form (${formats.join(', ')}) that is passed on as it is: no row can be set aside`;
    return [problem('rejects', message, 'remove rejects')];
  }
  // What stands in the way is told already.
  if (format || fit.formats.length === 0) return [];
  return [problem('', 'source and destination have no form of data in common', 'choose another source')];
}

async function fitOf(
  session: PgSession,
  spec: TableSpec,
  source: SourceTable,
  target: Target | undefined,
): Promise<Fit> {
  if (target && !COPYABLE[spec.mode].includes(target.kind))
    return { formats: source.formats, findings: [wrongKind(spec, target)] };
  if (source.shape.system !== 'postgres') return fitUncatalogued(session, spec, source, target);
  const { format, findings } = target
    ? compareColumns(copiedOf(source), await describeColumns(session, target))
    : await fitNew(session, source, copiedOf(source));
  return { formats: TAKEN[format], findings };
}

const TAKEN: Readonly<Record<Comparison['format'], readonly Format[]>> = {
  binary: ['postgres.copy.binary', 'postgres.copy.text'],
  text: ['postgres.copy.text'],
};

/** Kinds of relation (pg_class.relkind) that a mode can fill: rows may be appended to a partitioned table. */
const COPYABLE: Readonly<Record<TableSpec['mode'], readonly string[]>> = { replace: ['r'], append: ['r', 'p'] };

const KINDS: Readonly<Record<string, string>> = {
  p: 'a partitioned table',
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
};

function wrongKind(spec: TableSpec, target: Target): Finding {
  const fix = target.kind === 'p' ? 'use mode: append, or name another target' : 'name another target';
  return problem('to', `${spec.to} is ${KINDS[target.kind] ?? 'not a table'}, which ${spec.mode} can't fill`, fix);
}

/** A target that is to be made has the source's types, if this server has them: of the same definition or not. */
async function fitNew(session: PgSession, source: SourceTable, copied: readonly ColumnShape[]): Promise<Comparison> {
  const missing = await missingTypes(session, copied);
  if (missing.length > 0) return { format: 'text', findings: missing };
  const select = copied.map((column) => `NULL::${column.type} AS ${quoteIdent(column.name)}`).join(', ');
  const made = await describeQuery(session, `SELECT ${select}`);
  const { format, findings } = compareColumns(copied, made);
  return { format, findings: [...findings, ...notCarried(source, copied)] };
}

async function missingTypes(session: PgSession, columns: readonly ColumnShape[]): Promise<Finding[]> {
  const rows = await session.query<{ name: string; type: string; collated: string | null; known: boolean }>(
    `SELECT c.name, c.type, c.collated, to_regtype(c.type) IS NOT NULL AS known
     FROM unnest($1::text[], $2::text[], $3::text[]) AS c(name, type, collated)
     WHERE to_regtype(c.type) IS NULL
        OR (c.collated IS NOT NULL AND NOT EXISTS
            (SELECT FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace
             WHERE quote_ident(n.nspname) || '.' || quote_ident(k.collname) = c.collated))`,
    [columns.map(({ name }) => name), columns.map(({ type }) => type), columns.map((c) => c.collation ?? null)],
  );
  return rows.map(({ name, type, collated, known }) => {
    const what = known ? `collation ${collated ?? ''}` : `type ${type}`;
    const fix = `create the ${known ? 'collation' : 'type'} there, exclude the column, or make the target by hand`;
    return problem('', `column "${name}": the destination has no ${what}`, fix);
  });
}

/** What a new target won't have of the source. */
function notCarried(source: SourceTable, copied: readonly ColumnShape[]): Finding[] {
  const named = (columns: readonly ColumnShape[]) => columns.map(({ name }) => name).join(', ');
  const computed = source.shape.columns.filter(({ generated }) => generated);
  const filled = copied.filter((column) => column.default !== undefined || column.identity !== undefined);
  const key = source.shape.primaryKey;
  const cut = key.length > 0 && !key.every((name) => source.columns.includes(name));
  return [
    ...(computed.length > 0 ? [warning('', `the new target won't have the generated columns ${named(computed)}`)] : []),
    ...(filled.length > 0
      ? [warning('', `the new target won't have the defaults and identities of ${named(filled)}`)]
      : []),
    ...(cut ? [warning('', `the new target won't have a primary key: not all of (${key.join(', ')}) is copied`)] : []),
  ];
}

async function existingFindings(
  session: PgSession,
  spec: TableSpec,
  columns: readonly string[],
  target: Target,
): Promise<Finding[]> {
  if (!COPYABLE[spec.mode].includes(target.kind)) return [];
  const privileges = await privilegeFindings(session, spec.mode, target);
  const more =
    spec.mode === 'replace' ? dependentFindings(session, target) : sequenceFindings(session, columns, target);
  return [...privileges, ...(await more)];
}

async function dependentFindings(session: PgSession, target: Target): Promise<Finding[]> {
  const dependents = await dependentsOf(session, target);
  if (dependents.length === 0) return [];
  const message = `${formatRelation(target)} can't be replaced, since this would be lost with the old table: ${dependents.join('; ')}`;
  return [problem('to', message, 'drop what is listed, use mode: append, or name another target')];
}

async function sequenceFindings(session: PgSession, columns: readonly string[], target: Target): Promise<Finding[]> {
  const sequences = await ownedSequences(session, target.oid);
  const stuck = sequences.filter(({ column, mayAdvance }) => !mayAdvance && columns.includes(column));
  return stuck.map((sequence) =>
    warning(
      '',
      `sequence ${formatRelation(sequence)} won't be set past the copied values of "${sequence.column}"`,
      `GRANT SELECT, UPDATE ON SEQUENCE ${formatRelation(sequence)}`,
    ),
  );
}
