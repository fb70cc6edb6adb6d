import type pg from 'pg';

/** What of the driver's connection a query of our own writes to. */
interface Wire {
  parse(message: { text: string; name: string; types: number[] }): void;
  sync(): void;
}

/**
 * Sends a statement to be read: the server looks up what it names and finds the types of its parameters, and runs nothing. Unlike
 * PREPARE, it takes any statement. Rejects with the driver's error.
 */
export function parseOnly(client: pg.Client, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = {
      submit(connection: unknown) {
        const wire = connection as Wire;
        wire.parse({ text, name: '', types: [] });
        wire.sync();
      },
      handleReadyForQuery: () => resolve(),
      handleError: reject,
    };
    client.query(query as pg.Submittable);
  });
}
