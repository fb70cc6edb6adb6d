import type pg from 'pg';
import { reach } from '../../../core/fail-points.js';
import type { ChunkSink } from '../../types.js';
import { CopyCommand } from './command.js';
import { FrameWalker, ProtocolError } from './frames.js';

/** Cumulative. `bytes` are those of the frames, headers included; `rows` counts frames: a hint until the tags are there. */
export interface CopyMeter {
  rows: number;
  bytes: number;
}

export interface CopyInOptions {
  readonly sql: string;
  readonly signal?: AbortSignal;
  readonly meter?: CopyMeter;
}

const COPY_DONE = Uint8Array.of(0x63, 0, 0, 0, 4);

/**
 * COPY … FROM STDIN, fed with CopyData frames of any origin in chunks of any cut. The server reads nothing into what is missing:
 * a stream cut between two rows is a shorter stream to it. So `finish` is only for a caller who knows that the source
 * ended well; every other end is `fail` or `abandon`.
 */
export class CopyIn extends CopyCommand implements ChunkSink {
  /** Resolves when the server takes data; rejects when it refused the statement. */
  readonly ready: Promise<void>;
  readonly #walker = new FrameWalker();
  readonly #meter: CopyMeter;
  #wake: { resolve: () => void; reject: (reason: unknown) => void } | undefined;
  #onReady!: () => void;
  /** At a fail point. */
  #stopped: Promise<void> | undefined;
  #state: 'opening' | 'copying' | 'refused' | 'closing' = 'opening';

  constructor(client: pg.Client, options: CopyInOptions) {
    super(client, options.sql, options.signal);
    this.#meter = options.meter ?? { rows: 0, bytes: 0 };
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.rows.catch(reject);
    });
    this.ready.catch(() => undefined);
    this.start();
  }

  /**
   * True when the kernel has taken it all. Its own buffers are what keeps both servers busy, so nothing more is queued here.
   * After the destination has failed, chunks are dropped, and `drained` says why.
   */
  write(chunk: Uint8Array): boolean {
    if (this.#state === 'refused' || this.over) return false;
    if (this.#state !== 'copying') throw new Error(`no data is taken while ${this.#state}`);
    const framesBefore = this.#walker.frames;
    if (this.#walker.walkCopyData(chunk, 0) < chunk.length) throw new ProtocolError('not a stream of CopyData frames');
    this.connection.stream.write(chunk, this.#onWritten);
    this.#meter.bytes += chunk.length;
    this.#meter.rows += this.#walker.frames - framesBefore;
    if (framesBefore === 0) this.#stopped = reach('copy: after first rows');
    return this.#stopped === undefined && this.connection.stream.writableLength === 0;
  }

  drained(): Promise<void> {
    if (this.over) return this.rows.then(() => undefined);
    if (this.#stopped) return this.#goOn(this.#stopped);
    return new Promise((resolve, reject) => (this.#wake = { resolve, reject }));
  }

  /** Sends CopyDone: **only after the source's own CommandComplete and ReadyForQuery**. Resolves with the destination's count. */
  finish(): Promise<number> {
    if (this.#state === 'copying' && !this.#walker.atBoundary) {
      this.abandon(new ProtocolError('the source ended in the middle of a frame'));
    }
    if (this.#state === 'copying' && !this.over) {
      this.#state = 'closing';
      this.connection.stream.write(COPY_DONE);
    }
    return this.rows;
  }

  /** Sends CopyFail and waits until the session is idle again (or gone): nothing of this COPY is kept. Does not reject. */
  async fail(reason: string): Promise<void> {
    if (this.#state === 'copying' && !this.over) {
      this.#state = 'closing';
      if (this.#endFrame()) this.connection.sendCopyFail(reason);
    }
    await this.rows.catch(() => undefined);
  }

  override handleCopyInResponse(): void {
    this.#state = 'copying';
    this.#onReady();
  }

  /** The server refused a row or the statement. It skips what is still on its way, if that ends with a whole frame. */
  protected override onRefused(): void {
    if (this.#state === 'copying') this.#endFrame();
    this.#state = 'refused';
  }

  protected override onEnd(): void {
    this.rows.catch((reason: unknown) => this.#wake?.reject(reason));
  }

  protected override sawCopy(): boolean {
    return this.#state === 'closing';
  }

  async #goOn(stopped: Promise<void>): Promise<void> {
    await stopped;
    this.#stopped = undefined;
    if (this.connection.stream.writableLength > 0) await this.drained();
  }

  readonly #onWritten = (error?: Error | null) => {
    if (!error && this.connection.stream.writableLength === 0) this.#wake?.resolve();
  };

  #endFrame(): boolean {
    const padding = this.#walker.padding();
    if (padding) return padding.length === 0 || (this.connection.stream.write(padding), true);
    this.abandon(new ProtocolError('broken off in the middle of a large row'));
    return false;
  }
}
