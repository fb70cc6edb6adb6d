import { open, stat } from 'node:fs/promises';

/** What a process has written to its log from some moment on. */
export class LogTail {
  private constructor(
    private readonly file: string,
    private readonly from: number,
  ) {}

  /** From now on. */
  static async begin(file: string): Promise<LogTail> {
    return new LogTail(file, (await stat(file)).size);
  }

  async lines(): Promise<string[]> {
    const handle = await open(this.file);
    try {
      const { size } = await handle.stat();
      const { buffer } = await handle.read(Buffer.alloc(Math.max(0, size - this.from)), 0, undefined, this.from);
      return buffer.toString('utf8').split('\n');
    } finally {
      await handle.close();
    }
  }

  /** How many lines fit. */
  async count(pattern: RegExp): Promise<number> {
    return (await this.lines()).filter((line) => pattern.test(line)).length;
  }
}
