/** Given back by whoever got it; again does nothing. */
export type Leave = () => void;

/** At most `size` inside at one time; the others wait in line. */
export class Gate {
  #inside = 0;
  readonly #line = new Set<() => void>();

  constructor(private readonly size: number) {}

  /** Undefined when no place got free within `waitMs`. Abort rejects with `signal.reason`. */
  async enter(waitMs: number, signal: AbortSignal): Promise<Leave | undefined> {
    signal.throwIfAborted();
    if (this.#inside < this.size) this.#inside++;
    else if (!(await this.#wait(waitMs, signal))) return undefined;
    return this.#leaveOnce();
  }

  /** As `enter`, however long it takes. */
  async enterAtLast(signal: AbortSignal): Promise<Leave> {
    signal.throwIfAborted();
    if (this.#inside < this.size) this.#inside++;
    else await this.#wait(undefined, signal);
    return this.#leaveOnce();
  }

  /** Who is let in takes the place of the one that leaves: the number inside stays. */
  #wait(waitMs: number | undefined, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#line.delete(letIn);
        finish();
      };
      const letIn = (): void => settle(() => resolve(true));
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the abort's own reason, whatever it is
      const onAbort = (): void => settle(() => reject(signal.reason));
      const timer = waitMs === undefined ? undefined : setTimeout(() => settle(() => resolve(false)), waitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#line.add(letIn);
    });
  }

  #leaveOnce(): Leave {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const [next] = this.#line;
      if (next) next();
      else this.#inside--;
    };
  }
}
