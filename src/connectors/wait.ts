import { setTimeout as sleep } from 'node:timers/promises';

/** Code of others may neither end when it is told to, nor hold who waits for it. */

/** Waits for one promise after the other, each only until the signal is aborted: then with the signal's reason. */
export class Interruptible implements Disposable {
  #interrupt: ((reason: unknown) => void) | undefined;
  // One listener for the many waits of a stream.
  readonly #listener = (): void => this.#interrupt?.(this.signal.reason);

  constructor(private readonly signal: AbortSignal) {
    signal.addEventListener('abort', this.#listener, { once: true });
  }

  wait<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject: (reason: unknown) => void) => {
      this.signal.throwIfAborted();
      this.#interrupt = reject;
      Promise.resolve(work()).then(resolve, reject);
    });
  }

  [Symbol.dispose](): void {
    this.signal.removeEventListener('abort', this.#listener);
  }
}

export async function untilAborted<T>(signal: AbortSignal, work: () => T | PromiseLike<T>): Promise<T> {
  using interruptible = new Interruptible(signal);
  return await interruptible.wait(work);
}

/** Whether the work ended within so many ms. Throws what it throws; what it throws later is lost. */
export async function endsWithin(limit: number, work: () => unknown): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(limit, false, { signal: timer.signal }).catch(() => false);
  const done = (async () => {
    await work();
    return true;
  })();
  // Nobody may be left to hear it.
  done.catch(() => undefined);
  try {
    return await Promise.race([done, late]);
  } finally {
    timer.abort();
  }
}
