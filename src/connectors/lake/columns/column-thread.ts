import { LonghaulError } from '../../../core/errors.js';
import type { ChunkSink, Meter } from '../../types.js';
import type { ObjectWriter } from '../../objects/store.js';
import type { DataFile } from '../model.js';
import { rejected } from './frames-of.js';
import type { FinishedFile, FromThread, StreamSetup, ToThread } from './messages.js';
import { giveBack, takeThread } from './threads.js';
import type { WriteOptions, WrittenFiles } from './write-data-files.js';

/**
 * A thread that makes files of a stream, seen from the one that feeds it. Bytes go there through shared slots, each filled before it is handed
 * over; files come back in pieces that are written one after another. Disposed: a thread that has not finished is ended, its files under way are
 * given up.
 */
export class ColumnThread implements ChunkSink, AsyncDisposable {
  /** Rejects with what goes wrong in the thread or with its files, or with the signal's reason; resolves never. */
  readonly broken: Promise<never>;
  readonly #thread = takeThread();
  readonly #free = [...this.#thread.slots.keys()];
  readonly #writers = new Map<number, { readonly path: string; readonly writer: ObjectWriter }>();
  readonly #files: DataFile[] = [];
  /** The slot that is being filled, and how far. */
  #current: { readonly slot: number; at: number } | undefined;
  /** Of the chunk that came last: what has found no place yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #wake: (() => void) | undefined;
  #failure: { readonly reason: unknown } | undefined;
  #break!: (reason: unknown) => void;
  #done: Extract<FromThread, { done: unknown }>['done'] | undefined;
  /** Nothing is under way any more, on either side. */
  #finished = false;
  /** All that the thread has sent so far, being written in order. */
  #writing: Promise<void> = Promise.resolve();
  readonly #abort = () => this.#fail(this.options.signal.reason);

  constructor(
    setup: StreamSetup,
    private readonly options: WriteOptions,
    private readonly meter: Meter,
  ) {
    this.broken = new Promise((_resolve, reject) => (this.#break = reject));
    this.broken.catch(() => undefined); // who waits for something else is told by that
    const { worker } = this.#thread;
    worker.on('message', (message: FromThread) => this.#onMessage(message));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('the thread that writes Parquet files has ended')));
    this.#tell({ setup });
    options.signal.addEventListener('abort', this.#abort);
  }

  /** Throws what went wrong, or the signal's reason. False: the thread is behind. */
  write(chunk: Uint8Array): boolean {
    if (this.#failure) throw this.#failure.reason;
    this.#rest = chunk;
    return this.#place();
  }

  async drained(): Promise<void> {
    while (!this.#place()) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#failure) throw this.#failure.reason;
    }
  }

  /** Copies the rest into slots as long as there are free ones; true: all of it. */
  #place(): boolean {
    while (this.#rest.length > 0) {
      const current = (this.#current ??= this.#nextSlot());
      if (current === undefined) return false;
      const slot = this.#thread.slots[current.slot]!;
      const taken = Math.min(slot.length - current.at, this.#rest.length);
      slot.set(this.#rest.subarray(0, taken), current.at);
      this.#rest = this.#rest.subarray(taken);
      current.at += taken;
      if (current.at === slot.length) this.#handOver();
    }
    return true;
  }

  #nextSlot(): { readonly slot: number; at: number } | undefined {
    const slot = this.#free.pop();
    return slot === undefined ? undefined : { slot, at: 0 };
  }

  async finish(): Promise<WrittenFiles> {
    this.#handOver();
    this.#tell('end');
    while (this.#done === undefined) {
      if (this.#failure) throw this.#failure.reason;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    await this.#writing;
    if (this.#failure) throw this.#failure.reason;
    const inFiles = this.#files.reduce((sum, { rows }) => sum + rows, 0);
    if (inFiles !== this.#done.rows) throw this.#lacking(inFiles, this.#done.rows);
    this.#finished = true;
    return { ...this.#done, files: this.#files };
  }

  /** Whatever the reason: rows that are in no file must not be counted as written. */
  #lacking(inFiles: number, rows: number): LonghaulError {
    const message = `${this.options.table}: ${rows} rows came, and the files hold ${inFiles}; nothing was committed.`;
    return new LonghaulError('CountMismatch', message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.options.signal.removeEventListener('abort', this.#abort);
    if (this.#finished) {
      giveBack(this.#thread);
      return;
    }
    this.#failure ??= { reason: new Error('given up') };
    await this.#thread.worker.terminate();
    await this.#writing;
    // Why the files were given up is what counts; what can't be taken back now is swept later.
    await Promise.allSettled([...this.#writers.values()].map(({ writer }) => writer[Symbol.asyncDispose]()));
  }

  #handOver(): void {
    if (this.#current === undefined) return;
    this.#tell({ slot: this.#current.slot, length: this.#current.at });
    this.#current = undefined;
  }

  #tell(message: ToThread): void {
    this.#thread.worker.postMessage(message);
  }

  #onMessage(message: FromThread): void {
    if ('free' in message) {
      this.#free.push(message.free);
      this.meter.rows = message.rows;
    } else if ('bytes' in message) this.#queue(() => this.#write(message.file, message.bytes));
    else if ('finished' in message) this.#queue(() => this.#finishFile(message.finished));
    else if ('done' in message) {
      this.#done = message.done;
      this.meter.rows = message.done.rows;
    } else this.#fail(this.#failureOf(message));
    this.#wake?.();
  }

  #failureOf(message: Extract<FromThread, { refused: unknown } | { failed: string }>): Error {
    if ('failed' in message) return new LonghaulError('Unknown', `${this.options.table}: ${message.failed}`);
    const { row, column, why } = message.refused;
    return rejected(this.options, `row ${row}`, column, why);
  }

  #queue(work: () => Promise<void>): void {
    this.#writing = this.#writing.then(async () => {
      if (!this.#failure) await work();
    });
    this.#writing = this.#writing.catch((error: unknown) => this.#fail(error));
  }

  async #write(file: number, bytes: Uint8Array): Promise<void> {
    let open = this.#writers.get(file);
    if (open === undefined) {
      const path = this.options.nextPath();
      open = { path, writer: await this.options.create(path) };
      this.#writers.set(file, open);
    }
    await open.writer.write(bytes);
    this.#tell({ written: bytes.length });
  }

  async #finishFile({ file, rows, statistics, partitionValues }: FinishedFile): Promise<void> {
    const { path, writer } = this.#writers.get(file)!;
    const size = await writer.finish();
    await writer[Symbol.asyncDispose]();
    this.#writers.delete(file);
    this.#files.push({ path, size, rows, ...(partitionValues && { partitionValues }), statistics });
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#break(this.#failure.reason);
    this.#wake?.();
  }
}
