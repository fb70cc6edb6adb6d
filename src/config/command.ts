import { resolve } from 'node:path';
import { z } from 'zod';
// eslint-disable-next-line no-restricted-imports -- the type of what this schema makes, and nothing else of the connector
import type { CommandConnectionConfig } from '../connectors/command/config.js';
import { located, strict, type Compiled, type Located } from './problems.js';
import { duration, wholeNumberOrDigits } from './quantities.js';
import { withSecrets } from './secrets.js';

/** Milliseconds from SIGTERM to SIGKILL where nothing is said and the worker's own grace has room for it. */
const STOP_GRACE = 10_000;

/** What part of the worker's grace its programs may use to end: the rest is for handing their attempts back. */
const SHARE_OF_GRACE = 0.8;

const NO_NUL = /^[^\0]*$/;
const argument = z.string().regex(NO_NUL, { error: 'holds a NUL character — take it out' });
const text = argument.min(1);

const RUN = 'write a list of texts, e.g. [python3, extract.py]: nothing goes through a shell';
const run = z
  .array(argument, {
    error: ({ input }) => (typeof input === 'string' ? `is one text — ${RUN}` : `is no list — ${RUN}`),
  })
  .refine((list) => list[0] !== undefined && list[0] !== '', { error: `names no program — ${RUN}` });

const variableName = z
  .string()
  .regex(/^[A-Za-z_]\w*$/, { error: 'not the name of a variable — write letters, digits and _' })
  .refine((name) => !name.startsWith('LONGHAUL_'), { error: 'Longhaul states LONGHAUL_… itself — name it otherwise' });
const variable = z
  .union([argument, z.number(), z.boolean()], { error: 'not a value — write a text, a number, true or false' })
  .transform(String);

const csv = strict({
  header: z.boolean().prefault(false),
  delimiter: z
    .string()
    .regex(/^[\t\x20-\x7e]$/, { error: 'not a delimiter — write one character, e.g. ";" or "\\t"' })
    .refine((character) => character !== '"', { error: 'is the quote of CSV — write another character' })
    .prefault(','),
});

/** A connection of type `command` in `longhaul.yaml`, references resolved. */
export const commandSchema = strict({
  type: z.literal('command'),
  run,
  output: z.enum(['pipe', 'files', 'stdout']).prefault('pipe'),
  format: z.enum(['csv', 'ndjson', 'parquet']).prefault('csv'),
  csv: csv.optional(),
  tmpDir: text.optional(),
  env: z.record(variableName, variable).prefault({}),
  cwd: text.optional(),
  maxProcesses: wholeNumberOrDigits(1, 1000).prefault(8),
  stopGrace: duration('10s').optional(),
});

export type DefaultedCommand = z.output<typeof commandSchema>;

export type CompiledCommand = Compiled<CommandConnectionConfig>;

/** `folder`: of the configuration's file. `shutdownGrace`: the worker's. Paths are below the connection's own. */
export function compileCommand(
  name: string,
  given: DefaultedCommand,
  { folder, shutdownGrace }: { readonly folder: string; readonly shutdownGrace: number },
): CompiledCommand {
  const problems = formatProblems(given);
  if (problems.length > 0) return { problems, warnings: [] };
  const { run, output, format, env, maxProcesses, tmpDir, cwd } = given;
  const most = Math.floor(shutdownGrace * SHARE_OF_GRACE);
  const connection: CommandConnectionConfig = {
    ...{ type: 'command', name, run: run as [string, ...string[]], output, format, env, maxProcesses },
    csv: given.csv ?? { header: false, delimiter: ',' },
    ...(tmpDir !== undefined && { tmpDir: resolve(folder, tmpDir) }),
    cwd: resolve(folder, cwd ?? '.'),
    ...(cwd !== undefined && { writtenCwd: cwd }),
    stopGrace: given.stopGrace ?? Math.min(STOP_GRACE, most),
  };
  return { connection: withSecrets(connection, ['env']), problems, warnings: graceWarnings(given, most) };
}

function formatProblems({ format, output, csv }: DefaultedCommand): Located[] {
  return [
    ...(format === 'parquet' && output !== 'files'
      ? [located(['format'], 'parquet can not be read from a stream', 'add output: files')]
      : []),
    ...(format !== 'csv' && csv !== undefined
      ? [located(['csv'], `stands beside format: ${format}`, 'keep one of the two')]
      : []),
  ];
}

function graceWarnings({ stopGrace }: DefaultedCommand, most: number): Located[] {
  if (stopGrace === undefined || stopGrace <= most) return [];
  const message =
    'leaves no time within worker.shutdownGrace: attempts whose program is slow to end go on elsewhere only when they are found dead';
  return [located(['stopGrace'], message, 'write at most four fifths of worker.shutdownGrace, or raise that')];
}
