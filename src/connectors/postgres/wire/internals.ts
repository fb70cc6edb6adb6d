import type { Duplex } from 'node:stream';
import pg from 'pg';

/**
 * What this folder uses of pg beyond its published types: the JavaScript client of pg 8. All of it is in this file, so that
 * an upgrade of pg is checked in one place.
 */
export interface PgConnection extends pg.Connection {
  readonly stream: Duplex;
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: number): void;
  sendCopyFail(reason: string): void;
}

export interface PgInternals {
  readonly connection: PgConnection;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly sslNegotiation: string;
  readonly processID: number | null;
  readonly secretKey: number | null;
}

export function internals(client: pg.Client): PgInternals {
  return client as unknown as PgInternals;
}

/** A connection to the client's server that is not yet connected: no startup, no session. */
export function sideConnection(client: pg.Client): PgConnection {
  const { ssl, sslNegotiation } = internals(client);
  const config = { ssl, sslNegotiation } as unknown as pg.ConnectionConfig;
  return new pg.Connection(config) as unknown as PgConnection;
}

/** As pg's Client does: a host that begins with a slash is a directory of Unix sockets. */
export function connectTo(connection: PgConnection, { host, port }: PgInternals): void {
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}
