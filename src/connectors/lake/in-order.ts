/** Requests to a store at the same time, for one call of the ledger. */
export const AT_ONCE = 32;

/** In the order of the items, at most `width` of them on their way. Those that began have ended when it does. */
export async function* mapOrdered<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  map: (item: T) => Promise<R>,
  width = AT_ONCE,
): AsyncGenerator<R> {
  const under: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const begun = map(item);
      begun.catch(() => undefined); // Told of when its turn comes.
      under.push(begun);
      if (under.length >= width) yield await under.shift()!;
    }
    while (under.length > 0) yield await under.shift()!;
  } finally {
    await Promise.allSettled(under);
  }
}

export async function mapAll<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  map: (item: T) => Promise<R>,
  width = AT_ONCE,
): Promise<R[]> {
  const results: R[] = [];
  for await (const result of mapOrdered(items, map, width)) results.push(result);
  return results;
}
