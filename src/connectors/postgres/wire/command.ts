import pg from 'pg';
import { cancelOnServer } from './cancel.js';
import { ProtocolError } from './frames.js';
import { internals, type PgConnection } from './internals.js';

/** The connection went away in the middle of a COPY. */
export class ConnectionLost extends Error {
  /** SQLSTATE connection_failure. */
  readonly code = '08006';
  override readonly name = 'ConnectionLost';
}

/**
 * One COPY as pg's Client sees it: a query object, which the client calls back with what its own parser makes of the
 * messages. `rows` settles exactly once, whatever happens to server, socket or signal:
 * - resolves with the tag's count after CommandComplete and ReadyForQuery, and the client is idle again;
 * - rejects with the server's error after its ReadyForQuery: the client is idle again, a ROLLBACK works;
 * - rejects with anything else at once, and then the socket is destroyed: the client is never to be used again.
 */
export abstract class CopyCommand {
  readonly rows: Promise<number>;
  protected readonly connection: PgConnection;
  #settle!: { resolve: (rows: number) => void; reject: (reason: unknown) => void };
  #started = false;
  #over = false;
  #tag: string | undefined;
  #serverError: pg.DatabaseError | undefined;

  constructor(
    private readonly client: pg.Client,
    protected readonly sql: string,
    private readonly signal: AbortSignal | undefined,
    private readonly mapError: (error: unknown) => unknown = (error) => error,
  ) {
    signal?.throwIfAborted();
    this.connection = internals(client).connection;
    this.rows = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.rows.catch(() => undefined); // callers wait for it late, or never
    signal?.addEventListener('abort', this.#onAbort);
    client.on('error', ignore);
    this.connection.on('end', this.#onClose);
  }

  /** Sends the statement. */
  protected start(): void {
    this.#started = true;
    this.client.query(this);
  }

  protected get over(): boolean {
    return this.#over;
  }

  /** Breaks a COPY off that still runs: cancelled on the server, its socket destroyed. Nothing to do for one that is over. */
  abandon(reason: unknown): void {
    if (this.#over) return;
    if (this.#started) this.#destroy();
    this.#end(() => this.#reject(reason), !this.#started);
  }

  /** Called once, when `rows` is about to settle. */
  protected onEnd(): void {}

  /** Called when the server has refused the statement and before its ReadyForQuery. */
  protected onRefused(): void {}

  // What follows is called by pg's Client.

  submit(connection: pg.Connection): void {
    connection.query(this.sql);
  }

  handleCommandComplete(message: { text: string }): void {
    this.#tag = message.text;
  }

  handleReadyForQuery(): void {
    if (this.#serverError) {
      this.#endInSync(() => this.#reject(this.#serverError));
      return;
    }
    const rows = /^COPY (\d+)$/.exec(this.#tag ?? '')?.[1];
    if (rows === undefined || !this.sawCopy()) {
      this.handleRowDescription();
      return;
    }
    this.#endInSync(() => this.#settle.resolve(Number(rows)));
  }

  /** The server's own errors are followed by ReadyForQuery (or, if fatal, by the end); all others mean that the socket is lost. */
  handleError(error: Error): void {
    if (!(error instanceof pg.DatabaseError) || error.code === undefined) {
      this.abandon(error);
      return;
    }
    if (this.#over) return;
    this.#serverError = error;
    // The client has forgotten this query now and won't call handleReadyForQuery.
    this.connection.once('readyForQuery', () => this.handleReadyForQuery());
    this.onRefused();
  }

  handleRowDescription(): void {
    this.abandon(new ProtocolError('the statement is not the COPY that was expected'));
  }

  handleDataRow(): void {
    this.handleRowDescription();
  }

  handleEmptyQuery(): void {
    this.handleRowDescription();
  }

  handleCopyInResponse(): void {
    this.handleRowDescription();
  }

  handleCopyData(): void {
    this.handleRowDescription();
  }

  /** Whether the server went into the copy mode that this command is for. */
  protected abstract sawCopy(): boolean;

  readonly #onAbort = () => {
    this.#destroy();
    this.#end(() => this.#reject(this.signal?.reason), false);
  };

  readonly #onClose = () => {
    const lost = new ConnectionLost('the connection was closed in the middle of COPY');
    this.#end(() => this.#reject(this.#serverError ?? lost), false);
  };

  /** The request runs on by itself: nobody waits for a server that may be away. */
  #destroy(): void {
    void cancelOnServer(this.client);
    this.connection.stream.destroy();
  }

  #reject(error: unknown): void {
    this.#settle.reject(this.mapError(error));
  }

  #endInSync(settle: () => void): void {
    this.#end(settle, true);
  }

  #end(settle: () => void, inSync: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.signal?.removeEventListener('abort', this.#onAbort);
    this.connection.off('end', this.#onClose);
    // A client whose socket is lost emits errors later still, and they have been told here.
    if (inSync) this.client.off('error', ignore);
    settle();
    this.onEnd();
  }
}

function ignore(): void {}
