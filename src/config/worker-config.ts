import { accessSync, constants, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import type { ConnectionConfig } from '../connectors/registry.js';
import type { Problem } from '../core/errors.js';
import { commandSchema, compileCommand } from './command.js';
import { configPath, environmentBeside, resolveReferences, withoutPlacesOf, type Environment } from './environment.js';
import { compileDatabricks, databricksSchema } from './databricks.js';
import { compileLake, deltaSchema, parquetSchema } from './lake.js';
import { compileModule, moduleSchema } from './module.js';
import { compilePostgres, placeProblems, postgresSchema } from './postgres.js';
import {
  below,
  ConfigError,
  inFileOrder,
  schemaProblems,
  strict,
  toProblem,
  withoutValue,
  type Located,
} from './problems.js';
import { duration, wholeNumberOrDigits } from './quantities.js';
import { parseYaml } from './yaml.js';

export type { ConnectionConfig };

const NAME = /^[A-Za-z][\w.-]{0,62}$/;

/** Defaults are written as a person would write them, then read like the file. */
const workerSchema = strict({
  taskQueue: z.string().min(1).prefault('longhaul'),
  maxConcurrentPartitions: wholeNumberOrDigits(1, 1000).prefault(16),
  shutdownGrace: duration('10s').prefault('10s'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).prefault('info'),
});

/** How a worker works. */
export interface WorkerSettings {
  /** Default `longhaul`. */
  readonly taskQueue: string;
  /** Partitions that one worker copies at the same time, over all jobs. Default 16. */
  readonly maxConcurrentPartitions: number;
  /** Milliseconds that attempts get to roll back after SIGTERM. Default 10 s. */
  readonly shutdownGrace: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** `longhaul.yaml`, compiled. Connections hold secrets, which they don't print. */
export interface WorkerConfig {
  /** Absolute path of the file. */
  readonly file: string;
  readonly connections: ReadonlyMap<string, ConnectionConfig>;
  readonly worker: WorkerSettings;
  readonly warnings: readonly Problem[];
}

export interface LoadedConfig {
  readonly config: WorkerConfig;
  /** The environment with `.env` added: pass it on to `loadTemporalConfig`. `process.env` is not changed. */
  readonly env: Environment;
}

/** Reads the file named by `--config`, `LONGHAUL_CONFIG` or `./longhaul.yaml`. Throws ConfigError with all that is wrong. */
export function loadWorkerConfig(option?: string, processEnv: Environment = process.env): LoadedConfig {
  const path = configPath(option, processEnv);
  const env = environmentBeside(path, processEnv);
  const { value, problems } = parseYaml(readText(path));
  if (problems.length > 0) throw new ConfigError(path, problems);
  return { config: compileWorkerConfig(value, resolve(path), env), env };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const message = code === 'ENOENT' ? 'there is no such file' : `it can not be read (${code})`;
    const fix = '`longhaul init` writes one; --config or LONGHAUL_CONFIG name another place';
    throw new ConfigError(path, [{ path: '', message, fix }]);
  }
}

/** From the parsed file to the configuration: references, then schema and defaults, then connections. `file` is its absolute path. */
export function compileWorkerConfig(raw: unknown, file: string, env: Environment): WorkerConfig {
  const { value, problems: unresolved } = resolveReferences(raw ?? {}, env);
  const outer = schemaProblems(fileSchema, value);
  const sections = isRecord(value) ? value : {};
  const worker = sections.worker ?? {};
  const surroundings = { folder: dirname(file), shutdownGrace: graceOf(worker) };
  const connections = compileConnections(isRecord(sections.connections) ? sections.connections : {}, surroundings);
  const found = [
    ...outer,
    ...connections.flatMap(([, { problems }]) => problems),
    ...schemaProblems(workerSchema, worker).map((each) => below(['worker'], each)),
  ];
  const problems = [...unresolved, ...withoutPlacesOf(unresolved, found)];
  if (problems.length > 0) throw new ConfigError(file, inFileOrder(problems, value).map(withoutValue).map(toProblem));
  return {
    file,
    connections: new Map(connections.map(([name, { connection }]) => [name, connection!])),
    worker: workerSchema.parse(worker),
    warnings: connections.flatMap(([, { warnings }]) => warnings.map(toProblem)),
  };
}

const NO_CONNECTIONS = 'names no connection — write one, e.g. source: {type: postgres, url: "${SOURCE_URL}"}';

/** The outline of the file. Its sections are read one by one, so that a mistake in one doesn't hide those in another. */
const fileSchema = strict({
  connections: z
    .record(
      z.string().regex(NAME, { error: 'not a name — begin with a letter, then letters, digits, _ . -' }),
      z.unknown(),
      {
        error: NO_CONNECTIONS,
      },
    )
    .refine((connections) => Object.keys(connections).length > 0, { error: NO_CONNECTIONS }),
  worker: z.unknown().optional(),
});

const connectionSchema = z.discriminatedUnion('type', [
  postgresSchema,
  commandSchema,
  moduleSchema,
  deltaSchema,
  parquetSchema,
  databricksSchema,
]);

/** JSON Schema (draft 2020-12) of longhaul.yaml, for editors. */
export function connectionsJsonSchema(): Record<string, unknown> {
  const whole = strict({
    connections: z.record(z.string().regex(NAME), connectionSchema),
    worker: workerSchema.optional(),
  });
  return { title: 'Longhaul connections', ...z.toJSONSchema(whole, { io: 'input' }) };
}

/** What a connection is compiled in: the configuration's folder, and the worker's `shutdownGrace` in ms. */
interface Surroundings {
  readonly folder: string;
  readonly shutdownGrace: number;
}

interface Compiled {
  /** Absent when there are problems. */
  readonly connection?: ConnectionConfig;
  readonly problems: readonly Located[];
  readonly warnings: readonly Located[];
}

/** Of a section that may be wrong: then the default, so that what depends on it can be checked beside it. */
function graceOf(worker: unknown): number {
  const given = workerSchema.safeParse(worker);
  return (given.success ? given.data : workerSchema.parse({})).shutdownGrace;
}

function compileConnections(raw: Record<string, unknown>, surroundings: Surroundings): [string, Compiled][] {
  return Object.entries(raw).map(([name, given]) => [name, compileConnection(name, given, surroundings)]);
}

/** Paths are those of the file. A connection with any problem is not compiled. */
function compileConnection(name: string, given: unknown, surroundings: Surroundings): Compiled {
  const malformed = schemaProblems(connectionSchema, given);
  const misplaced = isRecord(given) && given.type === 'postgres' ? placeProblems(given) : [];
  const problems = [...malformed, ...misplaced];
  const result =
    problems.length > 0 ? { problems, warnings: [] } : compileType(name, connectionSchema.parse(given), surroundings);
  const here = (each: Located) => below(['connections', name], each);
  return { ...result, problems: result.problems.map(here), warnings: result.warnings.map(here) };
}

function compileType(name: string, given: z.output<typeof connectionSchema>, surroundings: Surroundings): Compiled {
  if (given.type === 'command') return compileCommand(name, given, surroundings);
  if (given.type === 'databricks') return compileDatabricks(name, given);
  if (given.type === 'delta' || given.type === 'parquet') return compileLake(name, given, surroundings.folder);
  const find = (path: string) => readable(resolve(surroundings.folder, path));
  return given.type === 'module' ? compileModule(name, given, find) : compilePostgres(name, given, find);
}

function readable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK);
    return path;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
