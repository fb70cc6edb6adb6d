import { setTimeout as sleep } from 'node:timers/promises';
import { onlyZombies } from './processes.js';

const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 250;

/**
 * A program and all that it started, as long as that did not leave the group. Its number is the program's process id: no other process
 * can get it as long as any member is there, nor before this process has heard that the program ended. After that it is looked at
 * without a pause until nobody is left, and never signalled again.
 */
export class ProcessGroup {
  #programEnded = false;
  #gone = false;
  #ending: Promise<void> | undefined;

  constructor(readonly id: number) {}

  /** To be called in the very turn of the event loop that hears of it. */
  programEnded(): void {
    this.#programEnded = true;
    this.#gone = !this.#signal(0);
  }

  /** Asks all to end, and after `graceMs` makes them; resolves when they have. May be called again: then `graceMs` is the first's. */
  end(graceMs: number): Promise<void> {
    return (this.#ending ??= this.#end(graceMs));
  }

  async #end(graceMs: number): Promise<void> {
    if (this.#gone) return;
    this.#signal('SIGTERM');
    if (await this.goneWithin(graceMs)) return;
    this.#signal('SIGKILL');
    await this.goneWithin(Infinity);
  }

  /** Whether nobody is left, or will be within that time: answered as soon as it is so. */
  async goneWithin(milliseconds: number): Promise<boolean> {
    const until = Date.now() + milliseconds;
    for (let wait = FIRST_LOOK_MS; ; wait = Math.min(LONGEST_LOOK_MS, wait * 1.5)) {
      this.#gone ||= this.#programEnded && (!this.#signal(0) || onlyZombies(this.id));
      if (this.#gone || Date.now() >= until) return this.#gone;
      await sleep(wait);
    }
  }

  /** False when nobody is left whom it could reach. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.id, signal);
    } catch (error) {
      // EPERM: of another user's, or on some systems ended and not asked for. Neither is in this process's power.
      if (['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  }
}
