/**
 * One Postgres connection, compiled: defaults filled in, `${ENV}` references resolved, files found. A plain object without behaviour, so that
 * anything may make one; it holds secrets, so nothing may print one but through `name` (objects made from
 * `longhaul.yaml` redact `url` and `password` in JSON and in `util.inspect`).
 */
export interface PostgresConnectionConfig {
  readonly type: 'postgres';
  /** The connection's name in `longhaul.yaml`: what messages call it. */
  readonly name: string;
  /** `postgres://…`, instead of the parts below. Carries neither TLS nor settings: those are `tls` and `settings`. Secret. */
  readonly url?: string;
  /** A host name, an address, or the folder of a Unix socket (begins with `/`). */
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly user?: string;
  /** Secret. */
  readonly password?: string;
  /** Absent: TLS is not asked for. */
  readonly tls?: PostgresTls;
  /** Server settings (GUCs), applied by SET LOCAL in every transaction: `work_mem: '256MB'`. Those that decide what a copy reads can't be set. */
  readonly settings: Readonly<Record<string, string>>;
  /** Most sessions at one time over all workers, kept by advisory locks on the server. */
  readonly maxSessions: number;
  /** The schema of the ledger and of staging's bookkeeping, when this connection is a destination. */
  readonly ledgerSchema: string;
}

export interface PostgresTls {
  /** As libpq's sslmode: `require` encrypts, `verify-ca` checks the certificate's issuer, `verify-full` its host name too. */
  readonly mode: 'disable' | 'require' | 'verify-ca' | 'verify-full';
  /** Absolute paths of PEM files, read when a session is opened. `ca` absent: the system's authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}
