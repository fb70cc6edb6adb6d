import { setTimeout as sleep } from 'node:timers/promises';
import type { LonghaulError } from '../../core/errors.js';
import type { DatabricksConnectionConfig } from './config.js';
import { DatabricksHttp, type Timing, TIMING } from './http.js';

const STATEMENTS = '/api/2.0/sql/statements';
/** How long one request waits for a statement to end, in ms: the API allows up to 50 s. */
const WAIT = 30_000;
/** Between two looks at a statement that runs for long, in ms. */
const LONGEST_LOOK = 5_000;
/** For telling the warehouse that a statement is not wanted any more, in ms. */
const CANCEL_TIMEOUT = 10_000;

export type Cell = string | null;

export interface Statement {
  readonly sql: string;
  /** By the names of `:name`; texts, or NULL. */
  readonly parameters?: Readonly<Record<string, string | null>>;
  /**
   * Running it twice is as good as once, also when the first one is still running. Only then is it sent again after its answer was
   * lost; otherwise ConnectionFailed is thrown, and it may or may not be carried out, now or later.
   */
  readonly repeatable: boolean;
}

/** What a statement answered with. */
export interface Answer {
  readonly id: string;
  readonly columns: readonly string[];
  /** Of all chunks: each is fetched when it is asked for. Once only. */
  readonly batches: () => AsyncIterable<readonly (readonly Cell[])[]>;
}

interface Status {
  readonly state: 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'CLOSED';
  readonly error?: { readonly error_code?: string; readonly message?: string };
  readonly sql_state?: string;
}

interface Chunk {
  readonly data_array?: readonly (readonly Cell[])[];
  /** A path with its query, opaque. */
  readonly next_chunk_internal_link?: string;
}

interface StatementResponse {
  readonly statement_id: string;
  readonly status: Status;
  readonly manifest?: {
    readonly schema?: { readonly columns?: readonly { readonly name: string }[] };
    readonly truncated?: boolean;
    /** Of all chunks. */
    readonly total_row_count?: number;
  };
  readonly result?: Chunk;
}

/** Statements on a SQL warehouse, by the Statement Execution API. A result lies inline as JSON: the API has at most 25 MiB of it. */
export class WarehouseClient {
  readonly http: DatabricksHttp;

  constructor(
    readonly config: DatabricksConnectionConfig,
    readonly signal: AbortSignal,
    private readonly timing: Timing = TIMING,
  ) {
    this.http = new DatabricksHttp(config, signal, timing);
  }

  /** Waits for its end. Aborted, the warehouse is told to cancel it, as far as its id is known by then, and `signal.reason` is thrown. */
  async run(statement: Statement): Promise<Answer> {
    const submitted = await this.#submit(statement);
    const ended = await this.#ended(submitted);
    return this.#answer(ended);
  }

  /** All rows: of a statement whose result is small. */
  async rows(statement: Statement): Promise<(readonly Cell[])[]> {
    const rows: (readonly Cell[])[] = [];
    for await (const batch of (await this.run(statement)).batches()) rows.push(...batch);
    return rows;
  }

  /** The id is asked for at once where the answer must not get lost: until then nobody knows what to ask for. */
  #submit({ sql, parameters, repeatable }: Statement): Promise<StatementResponse> {
    const named = Object.entries(parameters ?? {}).map(([name, value]) => ({ name, value, type: 'STRING' }));
    const body = {
      statement: sql,
      warehouse_id: this.config.warehouseId,
      ...(this.config.catalog === undefined ? {} : { catalog: this.config.catalog }),
      ...(named.length === 0 ? {} : { parameters: named }),
      ...{ wait_timeout: repeatable ? `${WAIT / 1_000}s` : '0s', on_wait_timeout: 'CONTINUE' },
      ...{ disposition: 'INLINE', format: 'JSON_ARRAY' },
    };
    return this.http.json<StatementResponse>({
      ...{ method: 'POST', path: `${STATEMENTS}/`, repeatable, takes: WAIT },
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async #ended(first: StatementResponse): Promise<StatementResponse> {
    const id = first.statement_id;
    try {
      let now = first;
      for (let wait = this.timing.look; isUnderWay(now.status); wait = Math.min(wait * 1.5, LONGEST_LOOK)) {
        await sleep(wait, undefined, { signal: this.signal });
        now = await this.#get<StatementResponse>(`${STATEMENTS}/${encodeURIComponent(id)}`);
      }
      return now;
    } catch (error) {
      if (!this.signal.aborted) throw error;
      await this.#cancel(id);
      throw this.signal.reason;
    }
  }

  #get<T>(path: string): Promise<T> {
    return this.http.json<T>({ method: 'GET', path, repeatable: true });
  }

  /** Best effort: whoever aborts an attempt doesn't wait for the warehouse, and what goes wrong here is nobody's answer. */
  async #cancel(id: string): Promise<void> {
    const path = `${STATEMENTS}/${encodeURIComponent(id)}/cancel`;
    const http = this.http.under(AbortSignal.timeout(CANCEL_TIMEOUT));
    await http.send({ method: 'POST', path, repeatable: true }).catch(() => undefined);
  }

  #answer(ended: StatementResponse): Answer {
    const { statement_id: id, status, manifest } = ended;
    if (status.state === 'FAILED' || status.state === 'CANCELED') throw this.#failure(status);
    if (manifest?.truncated === true)
      throw this.http.errors.of('StatementInvalid', 'cut off the result of a statement');
    const columns = manifest?.schema?.columns?.map(({ name }) => name) ?? [];
    return { id, columns, batches: () => this.#chunks(ended) };
  }

  #failure({ state, error, sql_state: sqlState }: Status): LonghaulError {
    if (state === 'CANCELED') return this.http.errors.of('Unknown', 'cancelled a statement');
    return this.http.errors.statement({ message: error?.message, code: error?.error_code, sqlState });
  }

  /** A result that is gone, or cut, must not be taken for the whole: a shorter list of queries is partitions that nobody misses. */
  async *#chunks({ status, manifest, result }: StatementResponse): AsyncGenerator<readonly (readonly Cell[])[]> {
    // It has ended well, too long ago for its result to be there still.
    if (status.state === 'CLOSED') throw this.#lost('does not have the result of a statement any more');
    let rows = 0;
    for (let chunk = result; chunk !== undefined; chunk = await this.#next(chunk)) {
      const { data_array: data = [] } = chunk;
      rows += data.length;
      if (data.length > 0) yield data;
    }
    const { total_row_count: expected = rows } = manifest ?? {};
    if (rows !== expected) throw this.#lost(`gave ${rows} rows of a result of ${expected}`);
  }

  async #next({ next_chunk_internal_link: link }: Chunk): Promise<Chunk | undefined> {
    return link === undefined ? undefined : this.#get<Chunk>(link);
  }

  #lost(says: string): LonghaulError {
    return this.http.errors.of('ConnectionFailed', says, 'It is tried again by itself.');
  }
}

function isUnderWay({ state }: Status): boolean {
  return state === 'PENDING' || state === 'RUNNING';
}
