import { access, constants } from 'node:fs/promises';
import { counted } from '../../core/text.js';
import type { ColumnShape, TableShape, TableSpec } from '../../core/model.js';
import { problem, warning } from '../findings.js';
import type { Demand, Finding, Format, SourceTable } from '../types.js';
import type { CommandConnectionConfig } from './config.js';
import { hasTool, whyNotStarted } from './find-program.js';
import { defaultTmpDir, makeTmpDir } from './tmp-root.js';

/** Whether the program could be started here. It is not: that would be a session of its own, for nothing. */
export async function checkProgram(config: CommandConnectionConfig, demand: Demand): Promise<Finding[]> {
  const { name, maxProcesses } = config;
  const [missing, noFolder] = [whyNotStarted(config), await whyNoFolder(config)];
  return [
    ...(missing === undefined
      ? []
      : [problem('', `the program of connection "${name}" can not be started: ${missing}`, CORRECT)]),
    ...(hasTool('mkfifo') ? [] : [problem('', 'this worker has no program mkfifo in its PATH', 'install coreutils')]),
    ...(noFolder === undefined
      ? []
      : [
          problem(
            '',
            `connection "${name}" has no temporary folder: ${noFolder}`,
            'name another: tmpDir in longhaul.yaml',
          ),
        ]),
    ...(demand.sessions > maxProcesses ? [tooMany(config, demand)] : []),
  ];
}

const CORRECT = 'correct run, cwd or env of the connection in longhaul.yaml, or install the program';

async function whyNoFolder({ tmpDir }: CommandConnectionConfig): Promise<string | undefined> {
  const path = tmpDir ?? defaultTmpDir();
  try {
    await makeTmpDir(path, tmpDir === undefined);
    await access(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return whyNot(path, error);
  }
}

/** `/var/tmp/x (EACCES)`, or in our own words. */
export function whyNot(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code !== undefined) return `${path} (${code})`;
  return `${path}: ${error instanceof Error ? error.message : String(error)}`;
}

function tooMany({ name, maxProcesses }: CommandConnectionConfig, { sessions }: Demand): Finding {
  const programs = counted(maxProcesses, 'program');
  return warning(
    '',
    `a worker runs ${programs} of connection "${name}" at a time, and the job's parallelism is ${sessions}: with one worker the others wait`,
    'lower parallelism, raise maxProcesses in longhaul.yaml, or start more workers',
  );
}

/** What a program gives is what the job says, or what the target takes: the program itself is not asked. */
export function describeQueries(
  config: CommandConnectionConfig,
  spec: TableSpec,
  identity: string,
): { table?: SourceTable; findings: Finding[] } {
  if (spec.queries === undefined) return { findings: [noTables(config)] };
  const { shape, columns } = declaredOf(spec);
  const table = { shape, columns, formats: formatsOf(config, spec), identity };
  return { table: spec.declared === undefined ? { ...table, inferred: true } : table, findings: [] };
}

export function noTables({ name }: CommandConnectionConfig): Finding {
  return problem(
    '',
    `connection "${name}" is a program: it has no tables that could be named, and gives the rows of queries`,
    'write table, to and queries (or queriesFrom)',
  );
}

function declaredOf({ declared = [] }: TableSpec): { shape: TableShape; columns: string[] } {
  const columns = declared.map(({ name, type }): ColumnShape => ({
    ...{ name, type, definition: type.toLowerCase() },
    ...{ notNull: false, generated: false },
  }));
  return { shape: { system: 'declared', columns, primaryKey: [] }, columns: columns.map(({ name }) => name) };
}

/** CSV with commas is passed on as it is, unless rows may be refused one by one. */
function formatsOf({ format, csv }: CommandConnectionConfig, { rejects }: TableSpec): Format[] {
  return format === 'csv' && csv.delimiter === ',' && rejects === undefined ? ['csv', 'rows'] : ['rows'];
}
