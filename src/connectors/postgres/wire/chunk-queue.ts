import type { ChunkSink } from '../../types.js';

/** A bounded queue from one writer to one reader: what turns pushed chunks into an async iteration. It copies them. */
export class ChunkQueue implements ChunkSink {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #outcome: { failed: boolean; reason?: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(private readonly limit: number) {}

  write(chunk: Uint8Array): boolean {
    this.#chunks.push(Uint8Array.from(chunk));
    this.#bytes += chunk.length;
    this.#wakeReader?.();
    return this.#bytes < this.limit;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => (this.#wakeWriter = resolve));
  }

  end(): void {
    this.#outcome ??= { failed: false };
    this.#wakeReader?.();
  }

  /** Chunks that wait are dropped: they are of no use to anyone. */
  fail(reason: unknown): void {
    this.#outcome ??= { failed: true, reason };
    this.#chunks.length = 0;
    this.#wakeReader?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) yield this.#taken(chunk);
      else if (this.#outcome?.failed) throw this.#outcome.reason;
      else if (this.#outcome) return;
      else await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
  }

  #taken(chunk: Uint8Array): Uint8Array {
    this.#bytes -= chunk.length;
    if (this.#bytes <= this.limit / 2) this.#wakeWriter?.();
    return chunk;
  }
}
