import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandConnectionConfig } from '../../src/connectors/command/config.js';
import { createCommandConnector } from '../../src/connectors/command/index.js';
import type { Connector, Log, Meter, SourceSession, SourceStream } from '../../src/connectors/types.js';
import type { Partition, TableRecord } from '../../src/core/model.js';

/** A line of a log. */
export interface Logged {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Opened {
  readonly session: SourceSession;
  readonly logged: Logged[];
  readonly meter: Meter;
  readonly abort: AbortController;
}

/** What a program gave, once its stream had ended. */
export interface Given {
  /** Each row's values, with commas. */
  readonly rows: string[];
  readonly count: number;
}

/** Programs that a test writes, in a folder of its own that goes with it. */
export class Commands implements AsyncDisposable {
  readonly tmpDir: string;

  private constructor(readonly folder: string) {
    this.tmpDir = join(folder, 'tmp');
  }

  static async make(): Promise<Commands> {
    return new Commands(await mkdtemp(join(tmpdir(), 'longhaul-command-')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  /** Writes a program beside longhaul.yaml. */
  async program(name: string, text: string): Promise<string> {
    await writeFile(this.at(name), text);
    await chmod(this.at(name), 0o755);
    return name;
  }

  config(over: Partial<CommandConnectionConfig> = {}): CommandConnectionConfig {
    return {
      ...{ type: 'command', name: 'legacy', run: ['true'], output: 'pipe', format: 'csv', tmpDir: this.tmpDir },
      ...{ csv: { header: false, delimiter: ',' }, env: {}, cwd: this.folder, maxProcesses: 8, stopGrace: 5_000 },
      ...over,
    };
  }

  /** One that runs a script of the shell: for a test's own, whose arguments are its own. */
  shell(script: string, over: Partial<CommandConnectionConfig> = {}): CommandConnectionConfig {
    return this.config({ run: ['sh', '-c', script], ...over });
  }

  async open(config: CommandConnectionConfig | Connector): Promise<Opened> {
    const connector = 'openSource' in config ? config : createCommandConnector(config);
    const logged: Logged[] = [];
    const write = (fields: Record<string, unknown>, message: string) => void logged.push({ fields, message });
    const log: Log = { debug: write, info: write, warn: write };
    const meter: Meter = { rows: 0, bytes: 0, phase: '' };
    const abort = new AbortController();
    const options = { signal: abort.signal, log, label: 'test', attempt: 1, meter };
    return { session: await connector.openSource(options), logged, meter, abort };
  }

  /** Opens a session, reads all of one query's rows, and ends the session, also when that fails. */
  async read(config: CommandConnectionConfig, on: Partial<OnQuery> = {}): Promise<Given & { logged: Logged[] }> {
    const { session, logged } = await this.open(config);
    await using _ = session;
    const { record, partition } = onQuery(on);
    return { ...(await allOf(await session.stream(record, partition))), logged };
  }

  /** What attempts have left in the temporary folder, the worker's own sign of life apart. */
  async left(): Promise<string[]> {
    if (!existsSync(this.tmpDir)) return [];
    return (await readdir(this.tmpDir)).filter((name) => name !== '.workers');
  }

  /** Process ids of those, alive, that run with this variable of the test's connection in their environment. */
  alive(): number[] {
    return processesWith(`=${this.folder}`);
  }

  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`never came: ${what}`);
      await sleep(20);
    }
  }
}

/** Those that live and whose environment holds this text; zombies have none. */
export function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && environmentOf(pid).includes(text));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

export interface OnQuery {
  readonly id: string;
  readonly sql: string;
  readonly table: string;
  readonly format: 'csv' | 'rows';
  /** Name and type of each. */
  readonly columns: Readonly<Record<string, string>>;
}

export function onQuery(on: Partial<OnQuery> = {}): { record: TableRecord; partition: Partition } {
  const { id = 'q017', sql = 'SELECT 17', table = 'orders', format = 'rows' } = on;
  const columns = Object.entries(on.columns ?? { id: 'bigint', note: 'text' }).map(([name, type]) => ({
    ...{ name, type, definition: type, notNull: false, generated: false },
  }));
  const record: TableRecord = {
    ...{ run: 'b2d3f1d0-run', source: 'legacy', format, fingerprint: {}, staging: '', state: 'open' },
    spec: { table, to: `dw.${table}`, mode: 'replace', partition: { by: 'auto' }, queries: [{ id, sql }] },
    shape: { system: 'declared', columns, primaryKey: [] },
    columns: columns.map(({ name }) => name),
  };
  return { record, partition: { ordinal: 16, label: id, predicate: sql } };
}

export async function allOf(stream: SourceStream): Promise<Given> {
  if (stream.kind === 'bytes') {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return { rows: text.split('\n').filter((line) => line !== ''), count: await stream.rows };
  }
  const rows: string[] = [];
  for await (const batch of stream) rows.push(...batch.rows.map((row) => row.map(String).join(',')));
  return { rows, count: await stream.rows };
}
