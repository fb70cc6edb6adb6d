import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';

/** Makes named pipes that nobody else may open. */
export async function makeFifos(paths: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', ...paths]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error("there is no program mkfifo in this worker's PATH", { cause: error });
  }
}

/** Bytes that wait in this process at most; as many wait in the kernel, and then the writer waits. */
const BUFFER = 256 * 1024;

/**
 * A named pipe that is read here, by the event loop and without a thread. This process holds a writing end too, so that the pipe ends
 * when that one is closed and no other writer is left: neither before the program has opened it, nor between two that open it.
 * Not a socket pair, which is what Node makes: a program can't open that anew by its name, as `echo … > /dev/stderr` does.
 */
export class Fifo {
  readonly reader: Socket;
  #writer: number | undefined;

  constructor(readonly path: string) {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      // Without O_NONBLOCK, which the program would get with it; it doesn't wait, since there is a reader.
      this.#writer = openSync(path, constants.O_WRONLY);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.reader = new Socket({ fd, readable: true, writable: false, highWaterMark: BUFFER } as ConstructorParameters<
      typeof Socket
    >[0]);
    // Whoever reads hears of it, also later; nobody may be reading yet.
    this.reader.on('error', () => undefined);
  }

  /** The end that a program can be given. */
  get writer(): number {
    if (this.#writer === undefined) throw new Error(`the writing end of ${this.path} is closed`);
    return this.#writer;
  }

  closeWriter(): void {
    if (this.#writer !== undefined) closeSync(this.#writer);
    this.#writer = undefined;
  }

  close(reason?: Error): void {
    this.closeWriter();
    this.reader.destroy(reason);
  }
}
