import type { CsvDialect } from '../rows/index.js';

/** Where a program's rows go: a named pipe of their own, files in a folder, or its standard output. */
export type Output = 'pipe' | 'files' | 'stdout';

export type OutputFormat = 'csv' | 'ndjson' | 'parquet';

/**
 * One program that is a source, compiled: defaults filled in, `${ENV}` references resolved, paths absolute. It holds secrets in `env`
 * (objects made from `longhaul.yaml` redact them in JSON and in `util.inspect`).
 */
export interface CommandConnectionConfig {
  readonly type: 'command';
  /** The connection's name in `longhaul.yaml`: what messages call it. */
  readonly name: string;
  /** The program, then its arguments. They go to the kernel as they are, never through a shell. */
  readonly run: readonly [string, ...string[]];
  readonly output: Output;
  /** `parquet` comes in files only. */
  readonly format: OutputFormat;
  /** Of `format: csv`. */
  readonly csv: CsvDialect;
  /** Absolute. Absent: `longhaul-<uid>` in the system's temporary folder. */
  readonly tmpDir?: string;
  /** What the program's environment holds beside a few of the worker's own variables. Secret. */
  readonly env: Readonly<Record<string, string>>;
  /** The program's working folder: absolute, by default that of `longhaul.yaml`. */
  readonly cwd: string;
  /** The same as the file says it: part of what the connection is told by, equal on workers whose folders have other names. */
  readonly writtenCwd?: string;
  /** Programs that this worker runs at the same time for the connection. */
  readonly maxProcesses: number;
  /** Milliseconds between asking a program to end and ending it. */
  readonly stopGrace: number;
}
