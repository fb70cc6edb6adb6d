import type pg from 'pg';
import type { ByteStream, ChunkSink, PushedStream } from '../../types.js';
import { ChunkQueue } from './chunk-queue.js';
import { CopyCommand } from './command.js';
import { DirectSocket } from './direct-socket.js';
import { FrameWalker, ProtocolError } from './frames.js';

export interface CopyOutOptions {
  readonly sql: string;
  readonly format: ByteStream['format'];
  readonly signal?: AbortSignal;
  /** What this stream rejects with instead of the driver's errors. */
  readonly mapError?: (error: unknown) => unknown;
}

/** Messages that may come at any time, and CopyOutResponse, after all of which CopyData may follow: S, N, A, H. */
const PASSING = new Set([0x53, 0x4e, 0x41, 0x48]);
const COPY_OUT_RESPONSE = 0x48;

/**
 * A server sends in pieces of 8 kB, and waking up for each costs more than moving it. After a chunk of less than SMALL bytes
 * the socket is left alone for a moment, while the kernel's buffer fills.
 */
const SMALL = 48 * 1024;
const NAP_MS = 1;

/** A queue between the socket and an iterating consumer holds at most this, and one chunk more. */
const QUEUE_BYTES = 1 << 20;

/**
 * COPY … TO STDOUT as a stream of CopyData frames. While it runs, the socket's data comes here: runs of CopyData are forwarded
 * as the chunks they came in, everything else goes on to pg's own parser, which makes errors, notices and parameters of it as
 * ever. From the first message on after which no CopyData can follow, the socket is pg's again.
 * The statement is sent when the stream is first consumed, and it can be consumed once.
 */
export class CopyOut extends CopyCommand implements PushedStream {
  readonly kind = 'bytes';
  readonly format: ByteStream['format'];
  readonly #walker = new FrameWalker();
  #parsers: ((chunk: Uint8Array) => void)[] = [];
  #sink: ChunkSink | undefined;
  #inPassingMessage = false;
  #taken = false;
  /** Why the socket is paused: one for the sink, one for a nap. */
  #pauses = 0;
  #sawCopyOut = false;

  constructor(client: pg.Client, options: CopyOutOptions) {
    super(client, options.sql, options.signal, options.mapError);
    this.format = options.format;
  }

  /** Resolves after the source's ReadyForQuery. */
  pumpTo(sink: ChunkSink): Promise<number> {
    if (this.#sink) throw new Error('a CopyOut can be consumed once');
    this.#sink = sink;
    if (!this.over) this.start();
    return this.rows;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const queue = new ChunkQueue(QUEUE_BYTES);
    this.pumpTo(queue).then(
      () => queue.end(),
      (reason: unknown) => queue.fail(reason),
    );
    try {
      yield* queue;
    } finally {
      this.abandon(new Error('the consumer stopped reading'));
    }
  }

  override submit(connection: pg.Connection): void {
    const { stream } = this.connection;
    this.#parsers = stream.listeners('data') as ((chunk: Uint8Array) => void)[];
    stream.removeAllListeners('data');
    if (stream instanceof DirectSocket) stream.readDirectly(this.#onData);
    else stream.on('data', this.#onData);
    this.#taken = true;
    super.submit(connection);
  }

  protected override sawCopy(): boolean {
    return this.#sawCopyOut;
  }

  readonly #onData = (chunk: Uint8Array) => {
    try {
      // The sink may still hold the memory of the chunk before: better no copy than a wrong one.
      if (this.#pauses > 0) throw new ProtocolError('data came while the socket was paused');
      this.#route(chunk);
      if (chunk.length < SMALL) this.#nap();
    } catch (error) {
      this.abandon(error);
    }
  };

  #route(chunk: Uint8Array): void {
    let at = this.#inPassingMessage ? this.#passMessage(chunk, 0) : 0;
    while (at < chunk.length) {
      const end = this.#walker.walkCopyData(chunk, at);
      if (end > at && !this.#forward(end - at === chunk.length ? chunk : chunk.subarray(at, end))) {
        this.#waitForSink(chunk.subarray(end));
        return;
      }
      if (end === chunk.length) return;
      if (!PASSING.has(chunk[end]!)) {
        this.#giveBack(chunk.subarray(end));
        return;
      }
      this.#sawCopyOut ||= chunk[end] === COPY_OUT_RESPONSE;
      at = this.#passMessage(chunk, end);
    }
  }

  #forward(run: Uint8Array): boolean {
    return this.over || this.#sink!.write(run);
  }

  /** What came behind a run that the sink still holds waits with it, in the socket's memory: nothing is read into that while it is paused. */
  #waitForSink(rest: Uint8Array): void {
    this.#pause();
    const goOn = () => {
      if (this.over) return; // abandoned meanwhile: its socket is gone
      this.#route(rest);
      this.#unpause();
    };
    this.#sink!.drained()
      .then(goOn)
      .catch((reason: unknown) => this.abandon(reason));
  }

  #nap(): void {
    if (!this.#taken || this.#pauses > 0) return;
    this.#pause();
    setTimeout(this.#unpause, NAP_MS);
  }

  #pause(): void {
    this.#pauses++;
    this.connection.stream.pause();
  }

  readonly #unpause = () => {
    // Late by a nap, the socket may be pg's again, or even the next COPY's.
    if (--this.#pauses === 0 && this.#taken) this.connection.stream.resume();
  };

  #passMessage(chunk: Uint8Array, from: number): number {
    const end = this.#walker.walkMessage(chunk, from);
    this.#inPassingMessage = !this.#walker.atBoundary;
    this.#parse(chunk.subarray(from, end));
    return end;
  }

  #parse(bytes: Uint8Array): void {
    const kept = Buffer.from(bytes); // pg keeps what is not a whole message yet
    for (const parse of this.#parsers) parse(kept);
  }

  /** The listeners first: with ReadyForQuery, pg may submit its next query, which may be another COPY. */
  #giveBack(rest: Uint8Array): void {
    const { stream } = this.connection;
    this.#taken = false;
    stream.off('data', this.#onData);
    if (stream instanceof DirectSocket) stream.readDirectly(undefined);
    for (const parse of this.#parsers) stream.on('data', parse);
    stream.resume();
    this.#parse(rest);
  }
}
