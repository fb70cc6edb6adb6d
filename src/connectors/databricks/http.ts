import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabricksConnectionConfig } from './config.js';
import { DatabricksErrors, lostRequest } from './errors.js';

/** An answer that takes longer than this, in ms, beside what the request itself may wait: the connection is taken to be lost. */
const ANSWER_TIMEOUT = 60_000;
/** An access token is asked for anew so long before it ends, in ms. */
const TOKEN_MARGIN = 60_000;

export interface Timing {
  /** Times that a request is sent again whose answer was lost. */
  readonly resends: number;
  /** Times that a request is sent again which the service put off. */
  readonly putOffs: number;
  /** The first wait before a request is sent again, in ms, where the service names none. Doubles up to `longest`. */
  readonly first: number;
  readonly longest: number;
  /** Between the first two looks at a statement that runs, in ms. */
  readonly look: number;
}

export const TIMING: Timing = { resends: 4, putOffs: 30, first: 500, longest: 30_000, look: 100 };

export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Beginning with `/`, encoded, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Blob;
  /** Sending it twice is as good as once. What is not repeatable is sent again only when it certainly was not carried out. */
  readonly repeatable: boolean;
  /** Statuses beside 2xx that are answers to the caller. */
  readonly accept?: readonly number[];
  /** Ms that the service itself may wait before it answers, or that a body may take. */
  readonly takes?: number;
}

/** Requests to one workspace: signed in, sent again where that is safe, put off as the service asks. */
export class DatabricksHttp {
  readonly errors: DatabricksErrors;
  #access: { readonly token: string; readonly until: number } | undefined;

  constructor(
    private readonly config: DatabricksConnectionConfig,
    readonly signal: AbortSignal,
    private readonly timing: Timing = TIMING,
  ) {
    this.errors = new DatabricksErrors(config);
  }

  /** The same connection under another signal: for what has to be said after the attempt's has fired. */
  under(signal: AbortSignal): DatabricksHttp {
    const other = new DatabricksHttp(this.config, signal, { ...this.timing, resends: 0, putOffs: 0 });
    other.#access = this.#access;
    return other;
  }

  async json<T>(request: ApiRequest): Promise<T> {
    const response = await this.send(request);
    return (await this.body(response, () => response.json())) as T;
  }

  /** Reads a body, whose connection may break as well. The caller's request was carried out. */
  async body<T>(response: Response, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      this.signal.throwIfAborted();
      if (error instanceof SyntaxError)
        throw this.errors.of('ConnectionFailed', `answered with something else than JSON (status ${response.status})`);
      throw this.errors.unanswered(lostRequest(error).why, error);
    }
  }

  /** Throws `signal.reason`, or a LonghaulError for what is not accepted. */
  async send(request: ApiRequest): Promise<Response> {
    let resent = 0;
    let signedIn = false;
    for (let putOff = 0; ;) {
      const outcome = await this.#try(request);
      if ('lost' in outcome) {
        if (!request.repeatable || resent >= this.timing.resends) throw outcome.lost;
        await this.#wait(undefined, resent++);
      } else if (this.#isPutOff(outcome.response, request) && putOff < this.timing.putOffs) {
        await this.#wait(outcome.response, putOff++);
      } else if (outcome.response.status === 401 && this.config.client !== undefined && !signedIn) {
        this.#access = undefined;
        signedIn = true;
      } else return this.#accepted(request, outcome.response);
    }
  }

  /** 429: it was refused before it was looked at. 503 may come from a gateway behind which it was carried out. */
  #isPutOff({ status }: Response, { repeatable }: ApiRequest): boolean {
    return status === 429 || (status === 503 && repeatable);
  }

  async #accepted({ accept = [] }: ApiRequest, response: Response): Promise<Response> {
    if (response.ok || accept.includes(response.status)) return response;
    const text = await response.text().catch(() => '');
    throw this.errors.status(response.status, failureIn(text));
  }

  async #try(request: ApiRequest): Promise<{ response: Response } | { lost: Error }> {
    const token = await this.#token();
    try {
      return { response: await this.#fetch(request, { authorization: `Bearer ${token}` }) };
    } catch (error) {
      this.signal.throwIfAborted();
      const { why, sent } = lostRequest(error);
      const lost = this.errors.unanswered(why, error);
      if (!sent) throw lost;
      return { lost };
    }
  }

  #fetch({ method, path, headers, body, takes = 0 }: ApiRequest, authorization: Record<string, string>) {
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(ANSWER_TIMEOUT + takes)]);
    const init = { method, headers: { ...headers, ...authorization }, signal, redirect: 'error' as const };
    return fetch(`${this.config.host}${path}`, body === undefined ? init : { ...init, body });
  }

  async #token(): Promise<string> {
    if (this.config.client === undefined) return this.config.token!;
    if (this.#access === undefined || Date.now() > this.#access.until) this.#access = await this.#signIn();
    return this.#access.token;
  }

  /** OAuth 2.0 client credentials, as service principals sign in. */
  async #signIn(): Promise<{ token: string; until: number }> {
    const { id, secret } = this.config.client!;
    const request: ApiRequest = {
      ...{ method: 'POST', path: '/oidc/v1/token', repeatable: true },
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials&scope=all-apis',
    };
    const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
    let response: Response;
    try {
      response = await this.#fetch(request, { authorization: `Basic ${basic}` });
    } catch (error) {
      this.signal.throwIfAborted();
      throw this.errors.unanswered(lostRequest(error).why, error);
    }
    if (response.status === 400) throw this.errors.status(401, {});
    await this.#accepted(request, response);
    const found = await this.body(response, () => response.json() as Promise<AccessToken>);
    return { token: found.access_token, until: Date.now() + found.expires_in * 1_000 - TOKEN_MARGIN };
  }

  async #wait(response: Response | undefined, before: number): Promise<void> {
    const own = Math.min(this.timing.first * 2 ** before, this.timing.longest);
    const asked = retryAfter(response);
    // Half of it by chance: many workers were put off in the same moment.
    const wait = asked ?? own / 2 + (Math.random() * own) / 2;
    await response?.body?.cancel();
    try {
      await sleep(wait, undefined, { signal: this.signal });
    } catch (error) {
      this.signal.throwIfAborted();
      throw error;
    }
  }
}

interface AccessToken {
  readonly access_token: string;
  /** In seconds. */
  readonly expires_in: number;
}

/** In ms: seconds, or a date. Undefined: it doesn't say. */
function retryAfter(response: Response | undefined): number | undefined {
  const header = response?.headers.get('retry-after');
  if (header === null || header === undefined) return undefined;
  const seconds = Number(header);
  const wait = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1_000;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** The error of an answer, which is JSON where the service itself gave it. */
function failureIn(text: string): { message?: string; code?: string } {
  try {
    const { message, error_code: code } = JSON.parse(text) as { message?: unknown; error_code?: unknown };
    return {
      ...(typeof message === 'string' ? { message } : {}),
      ...(typeof code === 'string' ? { code } : {}),
    };
  } catch {
    return {};
  }
}
