import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { commentIn, duck, keyOf, LITERAL, literals, NAME, propertiesOf, splitTop } from './spark-sql.js';

/**
 * What a SQL warehouse does with the statements that Longhaul sends it, as Databricks documents it: rows are DuckDB's own work, over
 * files on this disk; the transactions of a Delta table (versions, conflicts, what COPY INTO has loaded) are kept here.
 */

export class StatementFailed extends Error {
  constructor(
    readonly sqlState: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Rows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

interface Version {
  readonly operation: string;
  readonly written?: number;
  readonly metadata?: true;
  readonly removes?: true;
}

interface Table {
  columns: readonly { name: string; type: string; nullable: boolean; comment?: string }[];
  comment?: string;
  properties: Map<string, string>;
  readonly versions: Version[];
  loaded: Set<string>;
}

/** A statement that was analysed: `commit` does the rest, later. */
type Begun = () => Promise<Rows>;

const NOTHING: Rows = { columns: [], rows: [] };

export class FakeWarehouse {
  readonly tables = new Map<string, Table>();
  readonly #db: DuckDBConnection;
  /** What it writes, others see when it is committed. */
  readonly #writer: DuckDBConnection;
  #reads = 0;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    db: DuckDBConnection,
    writer: DuckDBConnection,
    /** The folder under which `/Volumes` lies. */
    readonly root: string,
  ) {
    this.#db = db;
    this.#writer = writer;
  }

  static async start(root: string, schemas: readonly string[]): Promise<FakeWarehouse> {
    const instance = await DuckDBInstance.create(':memory:');
    const db = await instance.connect();
    for (const schema of schemas) {
      await db.run(`ATTACH IF NOT EXISTS ':memory:' AS "${schema.split('.')[0]!}"`);
      await db.run(`CREATE SCHEMA IF NOT EXISTS ${duck(schema)}`);
    }
    return new FakeWarehouse(db, await instance.connect(), root);
  }

  stop(): void {
    this.#db.closeSync();
    this.#writer.closeSync();
  }

  /** As a person at a notebook would: in DuckDB's own words, without a version. */
  async raw(sql: string): Promise<Rows> {
    return this.#read(sql);
  }

  /** Analyses; what is returned runs it and commits. Throws StatementFailed at either place. */
  async begin(sql: string, parameters: Readonly<Record<string, string | null>>): Promise<Begun> {
    if (/;/.test(sql.replace(/'(?:[^'\\]|\\.)*'/g, '')))
      throw new StatementFailed('42601', "[PARSE_SYNTAX_ERROR] Syntax error at or near ';' SQLSTATE: 42601");
    for (const [pattern, act] of this.#kinds()) {
      const found = new RegExp(pattern, 's').exec(sql);
      if (found === null) continue;
      const commit = await act(found.slice(1), parameters);
      return () => this.#alone(commit);
    }
    return () => this.#read(sql, parameters);
  }

  /** One commits after the other. */
  #alone(commit: Begun): Promise<Rows> {
    const mine = this.#last.then(commit);
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  #kinds(): [
    string,
    (groups: string[], parameters: Readonly<Record<string, string | null>>) => Promise<Begun> | Begun,
  ][] {
    return [
      [
        `^CREATE( OR REPLACE)? TABLE( IF NOT EXISTS)? ${NAME} \\((.*)\\) USING DELTA( COMMENT ${LITERAL})?(?: TBLPROPERTIES \\((.*)\\))?$`,
        (g) => () => this.#create(g),
      ],
      [
        `^COPY INTO ${NAME} FROM \\(SELECT (.*) FROM '([^']*)/'\\) FILEFORMAT = PARQUET FILES = \\((.*)\\) FORMAT_OPTIONS (\\(.*\\)) COPY_OPTIONS`,
        (g) => this.#copy(g),
      ],
      [`^INSERT OVERWRITE DIRECTORY '(.*)/' USING PARQUET SELECT (.*)$`, (g) => () => this.#export(g)],
      [`^INSERT (OVERWRITE|INTO) ${NAME} \\(([^()]*)\\) (SELECT .*)$`, (g) => this.#insert(g)],
      [`^ALTER TABLE ${NAME} SET TBLPROPERTIES \\((.*)\\)$`, (g) => () => this.#alter(g)],
      [
        `^SHOW TBLPROPERTIES ${NAME}$`,
        ([name]) =>
          () =>
            this.#properties(name!),
      ],
      [`^SHOW TABLES IN (\`[^\`]+\`\\.\`[^\`]+\`) LIKE '(.*)\\*'$`, (g) => () => this.#show(g)],
      [`^DESCRIBE HISTORY ${NAME} LIMIT (\\d+)$`, (g) => () => this.#history(g)],
      [
        `^DROP TABLE IF EXISTS ${NAME}$`,
        ([name]) =>
          () =>
            this.#drop(name!),
      ],
      ['^SELECT .* FROM (`[^`]+`).information_schema.(tables|columns) WHERE', (g, p) => () => this.#schema(g, p)],
      [
        '^EXPLAIN (.*)$',
        ([sql], p) =>
          () =>
            this.#explain(sql!, p),
      ],
    ];
  }

  async #create([replace, ifAbsent, name, columns, comment, properties]: (string | undefined)[]): Promise<Rows> {
    const key = keyOf(name!);
    const known = this.tables.get(key);
    if (known !== undefined && replace === undefined) {
      if (ifAbsent !== undefined) return NOTHING;
      throw new StatementFailed('42P07', `[TABLE_OR_VIEW_ALREADY_EXISTS] ${key} SQLSTATE: 42P07`);
    }
    await this.#run(`CREATE OR REPLACE TABLE ${duck(name!)} (${columns!})`);
    const made: Table = {
      columns: splitTop(columns!).map((column) => {
        const [, its, type, notNull, said] = /^`([^`]+)` (.*?)( NOT NULL)?( COMMENT .*)?$/s.exec(column)!;
        return { name: its!, type: type!, nullable: notNull === undefined, ...commentIn(said) };
      }),
      ...commentIn(comment),
      properties: propertiesOf(properties ?? ''),
      versions: known?.versions ?? [],
      loaded: new Set(),
    };
    made.versions.push({ operation: 'CREATE TABLE', metadata: true, removes: true });
    this.tables.set(key, made);
    return NOTHING;
  }

  async #copy([name, selected, folder, listed, options]: string[]): Promise<Begun> {
    const table = this.#table(name!);
    const files = literals(listed!).map((file) => `${folder!}/${file}`);
    if (files.length > 1_000)
      throw new StatementFailed('42000', '[COPY_INTO_TOO_MANY_FILES] more than 1000 files SQLSTATE: 42000');
    const ignores = /'ignoreMissingFiles' = 'true'/.test(options!);
    const loadedThen = new Set(table.loaded);
    const since = table.versions.length;
    const left = files.filter((file) => !loadedThen.has(file));
    const from = (some: readonly string[]) =>
      `SELECT ${duck(selected!)} FROM read_parquet([${some.map((file) => `'${this.disk(file)}'`).join(', ')}])`;
    const read = left.length > 0 && !ignores ? await this.#held(from(left)) : '';
    return async () => {
      if (left.length === 0) return inserted(0);
      this.#unlessChanged(table, since);
      if (left.some((file) => table.loaded.has(file)))
        throw new StatementFailed('2D521', '[DELTA_CONCURRENT_APPEND] the same files were loaded SQLSTATE: 2D521');
      const written = await this.#into(
        name!,
        table.columns.map((column) => column.name),
        read,
      );
      for (const file of left) table.loaded.add(file);
      table.versions.push({ operation: 'COPY INTO', written });
      return inserted(written);
    };
  }

  async #insert([how, name, columns, select]: string[]): Promise<Begun> {
    const table = this.#table(name!);
    const since = table.versions.length;
    const read = await this.#held(duck(select!));
    // Of an empty table nothing is removed, so that nothing conflicts.
    const replaces = how === 'OVERWRITE' && (await this.#read(`FROM ${name!} LIMIT 1`)).rows.length > 0;
    return async () => {
      this.#unlessChanged(table, since);
      if (replaces && table.versions.slice(since).some(({ removes }) => removes === true))
        throw new StatementFailed('2D521', '[DELTA_CONCURRENT_DELETE_DELETE] SQLSTATE: 2D521');
      const names = splitTop(columns!).map((column) => column.replaceAll('`', ''));
      const written = await this.#into(name!, names, read, replaces);
      table.versions.push({ operation: 'WRITE', written, ...(replaces ? { removes: true as const } : {}) });
      return inserted(written);
    };
  }

  async #into(name: string, columns: readonly string[], select: string, replaces = false): Promise<number> {
    const names = columns.map((column) => `"${column}"`).join(', ');
    try {
      await this.#writer.run('BEGIN');
      if (replaces) await this.#writer.run(`DELETE FROM ${duck(name)}`);
      const reader = await this.#writer.runAndReadAll(`INSERT INTO ${duck(name)} (${names}) ${select}`);
      await this.#writer.run('COMMIT');
      return Number(reader.getRowsJson()[0]![0]);
    } catch (error) {
      await this.#writer.run('ROLLBACK');
      throw failureOf(error as Error);
    }
  }

  /** What a statement reads, it reads as it is when it begins. Answers with a query of that. */
  async #held(select: string): Promise<string> {
    const name = `memory.main.read_${++this.#reads}`;
    await this.#run(`CREATE TABLE ${name} AS ${select}`);
    return `SELECT * FROM ${name}`;
  }

  #unlessChanged(table: Table, since: number): void {
    if (table.versions.slice(since).some(({ metadata }) => metadata === true))
      throw new StatementFailed(
        '2D521',
        '[DELTA_METADATA_CHANGED] the metadata was changed by a concurrent update SQLSTATE: 2D521',
      );
  }

  async #export([folder, select]: string[]): Promise<Rows> {
    const disk = this.disk(folder!);
    mkdirSync(disk, { recursive: true });
    const text = duck(select!.replace(/\/\*.*?\*\//, ''));
    await this.#run(`COPY (SELECT ${text}) TO '${join(disk, 'part-00000-c000.snappy.parquet')}' (FORMAT parquet)`);
    await this.#run(`COPY (SELECT 1 AS done) TO '${join(disk, '_committed_1')}' (FORMAT csv)`);
    return NOTHING;
  }

  #alter([name, properties]: string[]): Promise<Rows> {
    const table = this.#table(name!);
    for (const [key, value] of propertiesOf(properties!)) table.properties.set(key, value);
    table.versions.push({ operation: 'SET TBLPROPERTIES', metadata: true });
    return Promise.resolve(NOTHING);
  }

  #properties(name: string): Promise<Rows> {
    return Promise.resolve({ columns: ['key', 'value'], rows: [...this.#table(name).properties] });
  }

  #show([schema, prefix]: string[]): Promise<Rows> {
    const within = `${schema!.replaceAll('`', '').toLowerCase()}.`;
    const keys = [...this.tables.keys()].filter((key) => key.startsWith(`${within}${prefix!}`));
    const rows = keys.map((key) => [within.split('.')[1]!, key.slice(within.length), 'false']);
    return Promise.resolve({ columns: ['database', 'tableName', 'isTemporary'], rows });
  }

  #history([name, limit]: string[]): Promise<Rows> {
    const rows = this.#table(name!).versions.map(({ operation, written }, version) => {
      const metrics = written === undefined ? {} : { numFiles: '1', numOutputRows: String(written) };
      return [String(version), operation, JSON.stringify(metrics)];
    });
    const newest = rows.reverse().slice(0, Number(limit));
    return Promise.resolve({ columns: ['version', 'operation', 'operationMetrics'], rows: newest });
  }

  async #drop(name: string): Promise<Rows> {
    this.tables.delete(keyOf(name));
    await this.#run(`DROP TABLE IF EXISTS ${duck(name)}`);
    return NOTHING;
  }

  #schema([catalog, view]: string[], { schema, table }: Readonly<Record<string, string | null>>): Promise<Rows> {
    const found = this.tables.get(`${catalog!.replaceAll('`', '').toLowerCase()}.${schema!}.${table!}`);
    if (found === undefined) return Promise.resolve(NOTHING);
    if (view === 'tables')
      return Promise.resolve({ columns: ['table_type', 'data_source_format'], rows: [['MANAGED', 'DELTA']] });
    const rows = found.columns.map(({ name, type, nullable }) => [
      name,
      type.toLowerCase(),
      nullable ? 'YES' : 'NO',
      null,
    ]);
    return Promise.resolve({ columns: ['column_name', 'full_data_type', 'is_nullable', 'column_default'], rows });
  }

  /** What can't be parsed fails; what can't be planned is answered with. */
  async #explain(sql: string, parameters: Readonly<Record<string, string | null>>): Promise<Rows> {
    try {
      await this.#read(`EXPLAIN ${sql}`, parameters);
      return { columns: ['plan'], rows: [['== Physical Plan ==\n…']] };
    } catch (error) {
      if (!(error instanceof StatementFailed) || error.sqlState === '42601') throw error;
      return { columns: ['plan'], rows: [[`Error occurred during query planning: \n${error.message}`]] };
    }
  }

  #table(name: string): Table {
    const found = this.tables.get(keyOf(name));
    if (found !== undefined) return found;
    throw new StatementFailed(
      '42P01',
      `[TABLE_OR_VIEW_NOT_FOUND] The table ${keyOf(name)} cannot be found. SQLSTATE: 42P01`,
    );
  }

  /** Where a path of a volume lies on this disk. */
  disk(path: string): string {
    return join(this.root, path);
  }

  async #run(sql: string): Promise<void> {
    await this.#read(sql);
  }

  async #read(sql: string, parameters: Readonly<Record<string, string | null>> = {}): Promise<Rows> {
    const names = Object.keys(parameters);
    const bound = names.reduce((text, name) => text.replace(new RegExp(`:${name}\\b`, 'g'), `$${name}`), duck(sql));
    const text = bound.replace(
      /parquet\."([^"]*)\/"/g,
      (_, folder: string) => `read_parquet('${this.disk(folder)}/*.parquet')`,
    );
    try {
      const reader = await this.#db.runAndReadAll(text, names.length === 0 ? undefined : { ...parameters });
      const rows = reader.getRowsJson().map((row) => row.map((value) => (value === null ? null : textOf(value))));
      return { columns: reader.columnNames(), rows };
    } catch (error) {
      throw failureOf(error as Error);
    }
  }
}

/** Makes the parent of a file on this disk. */
export function makeParent(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
}

export function entriesOf(folder: string) {
  return readdirSync(folder, { withFileTypes: true });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function inserted(rows: number): Rows {
  const columns = ['num_affected_rows', 'num_inserted_rows', 'num_skipped_corrupt_files'];
  return { columns, rows: [[String(rows), String(rows), '0']] };
}

function failureOf(error: Error): StatementFailed {
  const first = error.message.split('\n')[0]!;
  if (/^Parser Error/.test(first))
    return new StatementFailed('42601', `[PARSE_SYNTAX_ERROR] ${first} SQLSTATE: 42601\n== SQL ==\n…`);
  if (/^Catalog Error/.test(first))
    return new StatementFailed('42P01', `[TABLE_OR_VIEW_NOT_FOUND] ${first} SQLSTATE: 42P01`);
  if (/^Binder Error/.test(first)) return new StatementFailed('42703', `[UNRESOLVED_COLUMN] ${first} SQLSTATE: 42703`);
  if (/^(Conversion|Constraint)/.test(first))
    return new StatementFailed('22018', `[CAST_INVALID_INPUT] ${first} SQLSTATE: 22018`);
  return new StatementFailed('58030', `[FAILED_READ_FILE] ${first} SQLSTATE: 58030`);
}
