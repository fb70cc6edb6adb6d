import type { SessionOptions } from '../types.js';
import type { ModuleConnectionConfig } from './config.js';
import type { SourceDefinition } from './define.js';
import { messageOf, moduleError, redactorOf, type Doing } from './errors.js';
import { endsWithin, Interruptible, untilAborted } from '../wait.js';

/** How long a module gets to close an iteration or a session, in ms each: together less than a worker's shutdownGrace. */
const CLOSE_WITHIN = 3_000;

export interface Opened {
  readonly source: SourceDefinition;
  readonly session: unknown;
}

/** One session of a module, opened when it is first needed, and what keeps the attempt safe from it: abort, errors, endings. */
export class ModuleSession implements AsyncDisposable {
  #opened: Promise<Opened> | undefined;

  constructor(
    readonly config: ModuleConnectionConfig,
    private readonly options: SessionOptions,
    private readonly load: () => Promise<SourceDefinition>,
  ) {}

  get signal(): AbortSignal {
    return this.options.signal;
  }

  /** Throws ConnectionFailed for a module that can't be used, and what `open` throws. */
  opened(): Promise<Opened> {
    return (this.#opened ??= this.#open());
  }

  async #open(): Promise<Opened> {
    const { signal, log, attempt = 1 } = this.options;
    const source = await untilAborted(signal, this.load);
    const opening = Promise.resolve().then(() => source.open({ options: this.config.options, signal, log, attempt }));
    const session = await this.ask({ what: `Opening connection "${this.config.name}"` }, () => opening).catch(
      (error: unknown) => {
        // It may open all the same when nobody waits for it any more.
        opening.then((late) => this.#close(late)).catch(() => undefined);
        throw error;
      },
    );
    return { source, session };
  }

  /** What the module answers, or its error as one of the list; when the attempt is aborted, the abort's reason at once. */
  async ask<T>(doing: Doing, work: () => T | PromiseLike<T>): Promise<T> {
    try {
      return await untilAborted(this.options.signal, work);
    } catch (error) {
      throw this.#mapped(error, doing);
    }
  }

  /** What the module iterates, pulled one by one; errors and abort as of `ask`. The iteration is closed however it ends. */
  async *pull<T>(doing: Doing, items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    using interruptible = new Interruptible(this.options.signal);
    let over = false;
    try {
      for (;;) {
        const next = await interruptible.wait(() => iterator.next());
        over = next.done === true;
        if (next.done) return;
        yield next.value;
      }
    } catch (error) {
      // Who throws has ended by that.
      over = !this.signal.aborted;
      throw this.#mapped(error, doing);
    } finally {
      if (!over) await this.#ending(`${doing.what}: the rest of its rows`, () => iterator.return?.());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    this.#opened = undefined;
    if (opened !== undefined) await this.#close(opened.session);
  }

  #close(session: unknown): Promise<void> {
    return this.#ending(`Connection "${this.config.name}"`, () => closing(session));
  }

  /** What ends badly is told, and hides no error that was there before. */
  async #ending(what: string, work: () => unknown): Promise<void> {
    const { log } = this.options;
    try {
      if (await endsWithin(CLOSE_WITHIN, work)) return;
      log.warn({}, `${what} did not close within ${CLOSE_WITHIN / 1000} s and was given up`);
    } catch (error) {
      log.warn({ error: redactorOf(this.config)(messageOf(error)) }, `${what} did not close well`);
    }
  }

  #mapped(error: unknown, doing: Doing): unknown {
    return this.signal.aborted ? this.signal.reason : moduleError(error, doing, this.config);
  }
}

async function closing(session: unknown): Promise<void> {
  if (typeof session !== 'object' || session === null) return;
  const { close } = session as { close?: unknown };
  if (Symbol.asyncDispose in session) await (session as AsyncDisposable)[Symbol.asyncDispose]();
  else if (Symbol.dispose in session) (session as Disposable)[Symbol.dispose]();
  else if (typeof close === 'function') await close.call(session);
}
