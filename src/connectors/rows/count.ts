/** An iteration, and a count that is known when it has come to its end; it rejects when it broke off, for whatever reason. */
export interface WithCount<T> {
  readonly items: AsyncIterable<T>;
  readonly count: Promise<number>;
}

/** `count` is asked at the end. */
export function withCount<T>(items: AsyncIterable<T>, count: () => number): WithCount<T> {
  let settle!: { resolve: (count: number) => void; reject: (reason: unknown) => void };
  const promise = new Promise<number>((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => undefined); // whoever iterates is told of it too
  async function* watched(): AsyncGenerator<T> {
    try {
      yield* items;
      settle.resolve(count());
    } catch (error) {
      settle.reject(error);
      throw error;
    } finally {
      settle.reject(new Error('the stream was not read to its end'));
    }
  }
  return { items: watched(), count: promise };
}
