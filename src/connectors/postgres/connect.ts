import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { LonghaulError } from '../../core/errors.js';
import type { PostgresConnectionConfig, PostgresTls } from './config.js';
import { mapError, type ErrorContext } from './errors.js';
import { copySocket } from './wire/index.js';

/** A server that doesn't answer the sign-in for this long, in milliseconds, is taken to be away. */
const CONNECT_TIMEOUT_MS = 15_000;
/**
 * A peer that has been silent for this long is probed each second, ten times: one that is gone is noticed after about 20 seconds,
 * where the system's own two hours would leave a read waiting. Milliseconds.
 */
export const KEEP_ALIVE_AFTER_MS = 10_000;
/** Longer names are cut by the server, and would then look equal. */
const LONGEST_APPLICATION_NAME = 63;

/**
 * Signs in, without any startup option but application_name, since poolers reject others. The client is the caller's to end.
 * Abort destroys the socket and rejects with `signal.reason`.
 */
export async function connect(
  config: PostgresConnectionConfig,
  label: string,
  signal: AbortSignal,
): Promise<pg.Client> {
  const context: ErrorContext = { connection: config.name, signal };
  const client = await makeClient(config, label);
  client.on('error', ignore);
  const destroy = () => destroySocket(client);
  signal.addEventListener('abort', destroy, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect();
    signal.throwIfAborted();
    return client;
  } catch (error) {
    destroy();
    throw mapError(error, context);
  } finally {
    signal.removeEventListener('abort', destroy);
  }
}

/** Ends the connection from our side at once; what the client was waiting for rejects. */
export function destroySocket(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

/** As `destroySocket`, after what was written has gone out. */
export function endSocket(client: pg.Client): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.end(() => stream.destroy());
}

/** A client without a listener ends the process when its server goes away. What went wrong is told to whoever waits for an answer. */
function ignore(): void {}

async function makeClient(config: PostgresConnectionConfig, label: string): Promise<pg.Client> {
  const { url, host, port, database, user, password } = config;
  const parts = url === undefined ? { host, port, database, user, password } : { connectionString: url };
  const ssl = await tlsOptions(config);
  try {
    return new pg.Client({
      ...parts,
      ssl,
      stream: copySocket,
      application_name: label.slice(0, LONGEST_APPLICATION_NAME),
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      types: { getTypeParser },
    });
  } catch {
    // The parser's error may hold the URL.
    throw new LonghaulError('ConnectionFailed', `Connection "${config.name}": its url can't be read`, {
      next: 'Write it as postgres://user:password@host:port/database, special characters percent-encoded.',
    });
  }
}

async function tlsOptions({ name, tls }: PostgresConnectionConfig): Promise<ConnectionOptions | false> {
  if (tls === undefined || tls.mode === 'disable') return false;
  const [ca, cert, key] = await Promise.all([read(name, tls.ca), read(name, tls.cert), read(name, tls.key)]);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...verification(tls.mode),
  };
}

function verification(mode: PostgresTls['mode']): ConnectionOptions {
  if (mode === 'require') return { rejectUnauthorized: false };
  return mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {};
}

async function read(connection: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new LonghaulError('ConnectionFailed', `Connection "${connection}": can't read ${path} (${code})`, {
      next: 'Correct its tls in longhaul.yaml.',
    });
  }
}

/** bool, bytea, int2, int4, oid, float4, float8, json, jsonb; arrays of "char", name, int2, int4, text, oid. */
const PARSED = new Set([16, 17, 21, 23, 26, 700, 701, 114, 3802, 1002, 1003, 1005, 1007, 1009, 1028]);

/** What a JavaScript value can't hold exactly (int8, numeric, dates and times) stays the text that the server sent. */
const getTypeParser = ((oid: BuiltinType, format?: 'text') =>
  PARSED.has(oid) ? (pg.types.getTypeParser(oid, format) as unknown) : String) as typeof pg.types.getTypeParser;

type BuiltinType = Parameters<typeof pg.types.getTypeParser>[0];
