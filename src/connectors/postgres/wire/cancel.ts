import type pg from 'pg';
import { connectTo, internals, sideConnection, type PgConnection } from './internals.js';

const TIMEOUT_MS = 2_000;

/**
 * Asks the server, over a socket of its own (with TLS if the session has it), to cancel what the session's backend does.
 * Best effort: resolves true when the server took the request, false when it was not reached in time; never rejects.
 * The session's own socket may already be destroyed.
 */
export async function cancelOnServer(client: pg.Client, timeoutMs = TIMEOUT_MS): Promise<boolean> {
  const session = internals(client);
  const { processID, secretKey } = session;
  if (processID === null || secretKey === null) return false;
  const connection = sideConnection(client);
  try {
    const taken = closed(connection, timeoutMs);
    onceStartable(connection, session, () => connection.cancel(processID, secretKey));
    connectTo(connection, session);
    return await taken;
  } finally {
    connection.stream.destroy();
  }
}

/** The server answers a CancelRequest by closing the connection, after it has signalled the backend. */
function closed(connection: PgConnection, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs, false);
    const answer = (taken: boolean) => {
      clearTimeout(timer);
      resolve(taken);
    };
    connection.on('error', () => answer(false));
    connection.on('end', () => answer(true));
  });
}

/** Where pg's Client would send its startup message, in clear or after either way to TLS. */
function onceStartable(connection: PgConnection, session: { ssl: unknown; sslNegotiation: string }, send: () => void) {
  connection.on('sslconnect', send);
  connection.on('connect', () => {
    if (!session.ssl) send();
    else if (session.sslNegotiation !== 'direct') connection.requestSsl();
  });
}
