import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabricksConnectionConfig } from '../../src/connectors/databricks/config.js';
import type { StatementFailed } from './fake-warehouse.js';
import { entriesOf, FakeWarehouse, makeParent, type Rows } from './fake-warehouse.js';

/**
 * A workspace that keeps the documented contract of the Files API, the Statement Execution API and OAuth, as far as Longhaul uses them.
 * No real workspace was compared with it.
 */

export const TOKEN = 'dapi-very-secret';
const CLIENT = { id: 'principal', secret: 'client-very-secret' };

/** What goes wrong once, at the first request that fits: `GET /api/…`, or the text of a statement that is submitted. */
export interface Fault {
  readonly at: RegExp;
  /** `lost`: it is carried out, and the connection ends before the answer. `reset`: it ends before that. */
  readonly what:
    'lost' | 'reset' | { readonly status: number; readonly retryAfter?: string; readonly message?: string };
}

/** A statement that fits waits: in the queue, so that it has not begun, or in mid-run, after it was analysed. */
export interface Hold {
  readonly at: RegExp;
  readonly where: 'queued' | 'running';
  /** Resolves when a statement waits. */
  readonly reached: Promise<void>;
  release(): void;
}

interface Statement {
  readonly id: string;
  readonly sql: string;
  state: 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELED';
  failure?: StatementFailed;
  result?: Rows;
  readonly ended: Promise<void>;
}

type Call = { request: IncomingMessage; path: string; query: URLSearchParams; body: Buffer };

export class FakeDatabricks {
  readonly faults: Fault[] = [];
  /** All that were submitted, and ran or were to run. */
  readonly sql: string[] = [];
  readonly requests: string[] = [];
  readonly cancelled: string[] = [];
  /** Rows of a chunk. */
  chunk = 2;
  /** Chunks of a result that are given, at most: a service that forgets to say that there are more. */
  chunks = Infinity;
  /** The longest that a submission waits for its statement, in ms, whatever it asks for. */
  patience = 20;
  /** Statements that fit have ended so long ago that their results are gone. */
  gone = /^(?!)/;
  /** Takes an upload apart into a look and a write, as a store without conditional puts would. */
  looksBeforeItWrites = false;
  readonly #holds: (Hold & { at: RegExp; arrive: () => void; gate: Promise<void> })[] = [];
  readonly #statements = new Map<string, Statement>();
  readonly #tokens = new Set([TOKEN]);

  private constructor(
    private readonly server: Server,
    readonly warehouse: FakeWarehouse,
  ) {}

  /** `schemas`: more of the catalog `dev`. */
  static async start(schemas: readonly string[] = []): Promise<FakeDatabricks> {
    const root = mkdtempSync(join(tmpdir(), 'longhaul-fake-databricks-'));
    const warehouse = await FakeWarehouse.start(root, [
      'dev.bronze',
      'dev.landing',
      ...schemas.map((name) => `dev.${name}`),
    ]);
    const server = createServer();
    const fake = new FakeDatabricks(server, warehouse);
    server.on('request', (request, response) => void fake.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    this.warehouse.stop();
    rmSync(this.warehouse.root, { recursive: true, force: true });
  }

  config(more: Partial<DatabricksConnectionConfig> = {}): DatabricksConnectionConfig {
    const { port } = this.server.address() as AddressInfo;
    return {
      ...{ type: 'databricks', name: 'lake', host: `http://127.0.0.1:${port}`, warehouseId: 'w1', token: TOKEN },
      ...{ compression: 'zstd', targetFileSize: 128 * 2 ** 20, outOfRange: 'error' },
      volume: { catalog: 'dev', schema: 'landing', volume: 'files', folder: 'longhaul' },
      ...more,
    };
  }

  /** The same, signed in as a service principal. */
  principal(): DatabricksConnectionConfig {
    const { token: _, ...rest } = this.config();
    return { ...rest, client: CLIENT };
  }

  /** Tokens that were given out to principals are not accepted any more. */
  expireTokens(): void {
    this.#tokens.clear();
    this.#tokens.add(TOKEN);
  }

  hold(at: RegExp, where: Hold['where']): Hold {
    let arrive!: () => void;
    let release!: () => void;
    const reached = new Promise<void>((resolve) => (arrive = resolve));
    const gate = new Promise<void>((resolve) => (release = resolve));
    const hold = { at, where, reached, release, arrive, gate };
    this.#holds.push(hold);
    return hold;
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#statements.values()].map(({ ended }) => ended));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://fake');
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const call = {
      request,
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      body: Buffer.concat(parts),
    };
    this.requests.push(`${request.method} ${request.url}`);
    const fault = this.#fault(call);
    if (fault === 'reset') return void request.socket.destroy();
    if (typeof fault === 'object') {
      refuse(response, fault);
      return;
    }
    if (fault === 'lost') response.end = ((): ServerResponse => (request.socket.destroy(), response)) as never;
    try {
      await this.#answer(call, response);
    } catch (error) {
      send(response, 500, { error_code: 'INTERNAL_ERROR', message: String(error) });
    }
  }

  #fault({ request, body }: Call): Fault['what'] | undefined {
    const isStatement = request.method === 'POST' && /statements\/$/.test(request.url!);
    const text = isStatement
      ? (JSON.parse(body.toString()) as { statement: string }).statement
      : `${request.method} ${request.url}`;
    const at = this.faults.findIndex((fault) => fault.at.test(text));
    return at < 0 ? undefined : this.faults.splice(at, 1)[0]!.what;
  }

  async #answer(call: Call, response: ServerResponse): Promise<void> {
    const { request, path } = call;
    if (path === '/oidc/v1/token') {
      this.#signIn(call, response);
      return;
    }
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined || !this.#tokens.has(token)) {
      send(response, 401, { error_code: '401', message: `Credential was not sent or was invalid: ${token}` });
      return;
    }
    const [, api, rest] = /^\/api\/2\.0\/(fs\/files|fs\/directories|sql\/statements)(.*)$/.exec(path) ?? [];
    if (api === 'fs/files') return this.#file(call, rest!, response);
    if (api === 'fs/directories') {
      this.#directory(call, rest!, response);
      return;
    }
    if (api === 'sql/statements') return this.#statement(call, rest!, response);
    send(response, 404, { error_code: 'ENDPOINT_NOT_FOUND', message: 'No API found' });
  }

  #signIn({ request, body }: Call, response: ServerResponse): void {
    const basic = Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64');
    const form = new URLSearchParams(body.toString());
    if (request.headers.authorization !== `Basic ${basic}` || form.get('grant_type') !== 'client_credentials') {
      send(response, 401, { error: 'invalid_client', error_description: 'Client authentication failed' });
      return;
    }
    const token = randomUUID();
    this.#tokens.add(token);
    send(response, 200, { access_token: token, token_type: 'Bearer', expires_in: 3600 });
  }

  async #file({ request, query, body }: Call, path: string, response: ServerResponse): Promise<void> {
    const disk = this.warehouse.disk(path);
    const found = statSync(disk, { throwIfNoEntry: false });
    const missing = found?.isFile() !== true;
    if (request.method === 'PUT')
      return this.#upload({ disk, missing, body, overwrite: query.get('overwrite') }, response);
    if (missing) {
      send(response, 404, { error_code: 'NOT_FOUND', message: 'The file being accessed is not found.' });
      return;
    }
    if (request.method === 'DELETE') {
      rmSync(disk);
      send(response, 204);
      return;
    }
    const whole = readFileSync(disk);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const bytes = range === null ? whole : whole.subarray(Number(range[1]), Number(range[2]) + 1);
    const headers = { 'content-length': bytes.length, 'last-modified': found.mtime.toUTCString() };
    response.writeHead(range === null ? 200 : 206, headers).end(request.method === 'HEAD' ? undefined : bytes);
  }

  async #upload(
    put: { disk: string; missing: boolean; body: Buffer; overwrite: string | null },
    response: ServerResponse,
  ) {
    if (put.overwrite === 'false' && !put.missing) {
      send(response, 409, { error_code: 'ALREADY_EXISTS', message: 'The file being created already exists.' });
      return;
    }
    if (this.looksBeforeItWrites) await new Promise((resolve) => setTimeout(resolve, 20));
    makeParent(put.disk);
    writeFileSync(put.disk, put.body);
    send(response, 204);
  }

  /** In the order of the disk, reversed: the contract states none. Three to a page. */
  #directory({ query }: Call, path: string, response: ServerResponse): void {
    const disk = this.warehouse.disk(path);
    if (statSync(disk, { throwIfNoEntry: false })?.isDirectory() !== true) {
      send(response, 404, { error_code: 'NOT_FOUND', message: 'The directory being accessed is not found.' });
      return;
    }
    const all = entriesOf(disk).reverse();
    const from = Number(query.get('page_token') ?? 0);
    const contents = all.slice(from, from + 3).map((entry) => {
      const { size, mtimeMs } = statSync(join(disk, entry.name));
      const rest = entry.isDirectory() ? {} : { file_size: size, last_modified: Math.floor(mtimeMs) };
      return { path: `${path}/${entry.name}`, name: entry.name, is_directory: entry.isDirectory(), ...rest };
    });
    send(response, 200, { contents, ...(from + 3 < all.length ? { next_page_token: String(from + 3) } : {}) });
  }

  async #statement({ request, body }: Call, rest: string, response: ServerResponse): Promise<void> {
    if (request.method === 'POST' && rest === '/') return this.#submit(body, response);
    const [, id, what, chunk] = /^\/([^/]+)(?:\/(cancel|result\/chunks\/(\d+)))?$/.exec(rest)!;
    const statement = this.#statements.get(id!);
    if (statement === undefined) {
      send(response, 404, { error_code: 'NOT_FOUND', message: 'The statement was not found' });
      return;
    }
    if (what === 'cancel') {
      this.cancelled.push(statement.sql);
      if (statement.state === 'PENDING' || statement.state === 'RUNNING') statement.state = 'CANCELED';
      send(response, 200, {});
      return;
    }
    send(response, 200, chunk === undefined ? this.#described(statement) : this.#chunk(statement, Number(chunk)));
  }

  async #submit(body: Buffer, response: ServerResponse): Promise<void> {
    const asked = JSON.parse(body.toString()) as Record<string, unknown> & { statement: string };
    const wait = /^(0|[5-9]|[1-4]\d|50)s$/.exec(asked.wait_timeout as string);
    if (wait === null || asked.warehouse_id !== 'w1' || asked.format !== 'JSON_ARRAY') {
      send(response, 400, { error_code: 'INVALID_PARAMETER_VALUE', message: 'a field of the request is wrong' });
      return;
    }
    const named = (asked.parameters ?? []) as { name: string; value: string | null }[];
    const statement = this.#started(asked.statement, Object.fromEntries(named.map(({ name, value }) => [name, value])));
    const patience = wait[1] === '0' ? 0 : this.patience;
    await Promise.race([statement.ended, new Promise((resolve) => setTimeout(resolve, patience))]);
    send(response, 200, this.#described(statement));
  }

  #started(sql: string, parameters: Record<string, string | null>): Statement {
    this.sql.push(sql);
    const run = async (statement: Statement) => {
      await this.#held(sql, 'queued');
      if (statement.state === 'CANCELED') return;
      statement.state = 'RUNNING';
      try {
        const commit = await this.warehouse.begin(sql, parameters);
        await this.#held(sql, 'running');
        if ((statement.state as string) === 'CANCELED') return;
        statement.result = await commit();
        statement.state = 'SUCCEEDED';
      } catch (error) {
        statement.failure = error as StatementFailed;
        statement.state = 'FAILED';
      }
    };
    const begun: Omit<Statement, 'ended'> = { id: randomUUID(), sql, state: 'PENDING' };
    const statement: Statement = Object.assign(begun, {
      ended: Promise.resolve().then(() => run(begun as Statement)),
    });
    this.#statements.set(statement.id, statement);
    return statement;
  }

  async #held(sql: string, where: Hold['where']): Promise<void> {
    const at = this.#holds.findIndex((hold) => hold.where === where && hold.at.test(sql));
    if (at < 0) return;
    const [hold] = this.#holds.splice(at, 1);
    hold!.arrive();
    await hold!.gate;
  }

  #described(statement: Statement): unknown {
    const { id, state, failure, result } = statement;
    const error = failure && { error_code: 'BAD_REQUEST', message: failure.message };
    const status = { state, ...(error && { error, sql_state: failure.sqlState }) };
    if (result === undefined) return { statement_id: id, status };
    if (this.gone.test(statement.sql)) return { statement_id: id, status: { state: 'CLOSED' } };
    const columns = result.columns.map((name, position) => ({ name, position, type_text: 'STRING' }));
    const schema = { column_count: columns.length, columns };
    const total_row_count = result.rows.length;
    const manifest = { format: 'JSON_ARRAY', schema, truncated: false, total_row_count };
    return { statement_id: id, status, manifest, result: this.#chunk(statement, 0) };
  }

  #chunk({ id, result }: Statement, at: number): unknown {
    const from = at * this.chunk;
    const data = result!.rows.slice(from, from + this.chunk);
    const more = from + this.chunk < result!.rows.length && at + 1 < this.chunks;
    const link = `/api/2.0/sql/statements/${id}/result/chunks/${at + 1}`;
    const next = more ? { next_chunk_index: at + 1, next_chunk_internal_link: link } : {};
    return { chunk_index: at, row_offset: from, row_count: data.length, data_array: data, ...next };
  }
}

function refuse(
  response: ServerResponse,
  { status, retryAfter, message = 'put off' }: Exclude<Fault['what'], string>,
): void {
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  send(response, status, {
    error_code: status === 429 ? 'REQUEST_LIMIT_EXCEEDED' : 'TEMPORARILY_UNAVAILABLE',
    message,
  });
}

function send(response: ServerResponse, status: number, body?: unknown): void {
  if (body === undefined) return void response.writeHead(status).end();
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
