import type { ColumnShape, TableRecord, TableShape } from './model.js';

/** What a resume compares of a table, as the ledger has it and as the job was checked now. */
export type Compared = Pick<TableRecord, 'spec' | 'shape' | 'fingerprint'>;
export type Stored = Compared & Pick<TableRecord, 'state' | 'expired'>;

/** All of a shape but comments, which may change while a run is under way. In the order of its keys: a digest is made of it. */
export function comparedShape({ comment: _, ...shape }: TableShape): TableShape {
  return { ...shape, columns: shape.columns.map(comparedColumn) };
}

function comparedColumn({ comment: _, ...column }: ColumnShape): ColumnShape {
  return column;
}

/** Why a run can't be taken over by this job, one line a difference, each naming its table. Empty: it can. */
export function changesSince(stored: readonly Stored[], wanted: readonly Compared[]): string[] {
  const find = <T extends Compared>(tables: readonly T[], { spec }: Compared): T | undefined =>
    tables.find((each) => each.spec.table === spec.table);
  return [
    ...stored.filter(({ state }) => state === 'discarded').map((table) => `${table.spec.table}: ${removed(table)}`),
    ...stored.filter((table) => !find(wanted, table)).map(({ spec }) => `${spec.table}: no longer in the job`),
    ...wanted.flatMap((table) => changesOf(table, find(stored, table))),
  ];
}

function removed({ expired, spec }: Stored): string {
  if (spec.publish === 'partition') return 'it was given up; what it had committed is visible in its target';
  return expired === true
    ? 'its staging was removed, because keepStaging was over'
    : 'its staging was removed by cancel --discard or clean';
}

/** Publishing changes the target itself, so a published table's own is not compared. */
function changesOf(wanted: Compared, stored: Stored | undefined): string[] {
  const { table } = wanted.spec;
  if (!stored) return [`${table}: not in the run`];
  const parts = new Set([...Object.keys(wanted.fingerprint), ...Object.keys(stored.fingerprint)]);
  if (stored.state === 'published') parts.delete('target');
  return [...parts]
    .filter((part) => wanted.fingerprint[part] !== stored.fingerprint[part])
    .map((part) => `${table}: ${describe(part, stored, wanted)}`);
}

function describe(part: string, stored: Compared, wanted: Compared): string {
  if (part === 'specification') return `its specification changed${listed(keysChanged(stored.spec, wanted.spec))}`;
  if (part === 'source') return 'its source is another server or database than the run has read';
  if (part === 'sourceShape') return `its source changed${listed(columnsChanged(stored.shape, wanted.shape))}`;
  if (part === 'target') return targetChange(wanted.spec);
  return `its ${part} changed`;
}

function targetChange({ publish }: Compared['spec']): string {
  if (publish !== 'partition') return 'its target changed, or is on another server';
  return 'its target changed, or is another table than the one that its partitions were committed to, or is on another server';
}

function listed(what: readonly string[]): string {
  return what.length === 0 ? '' : `: ${what.join(', ')}`;
}

/** Names of keys only: a query's text or a condition may hold customers' data. */
function keysChanged(before: object, now: object): string[] {
  const [old, next] = [before as Record<string, unknown>, now as Record<string, unknown>];
  return [...new Set([...Object.keys(old), ...Object.keys(next)])].filter(
    (key) => JSON.stringify(old[key]) !== JSON.stringify(next[key]),
  );
}

type Columns = Pick<TableRecord['shape'], 'columns'>;

function columnsChanged(before: Columns, now: Columns): string[] {
  const find = ({ columns }: Columns, { name }: ColumnShape) => columns.find((each) => each.name === name);
  const gone = before.columns.filter((column) => !find(now, column)).map(({ name }) => `column ${name} is gone`);
  const other = now.columns.flatMap((column) => {
    const old = find(before, column);
    if (old === undefined) return [`column ${column.name} is new`];
    if (old.type !== column.type) return [`column ${column.name} was ${old.type} and is ${column.type}`];
    const [was, is] = [old, column].map((each) => JSON.stringify(comparedColumn(each)));
    return was === is ? [] : [`column ${column.name} is defined otherwise`];
  });
  return [...gone, ...other];
}
