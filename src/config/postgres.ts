import { z } from 'zod';
// eslint-disable-next-line no-restricted-imports -- the type of what this schema makes, and nothing else of the connector
import type { PostgresConnectionConfig, PostgresTls } from '../connectors/postgres/config.js';
// eslint-disable-next-line no-restricted-imports -- names alone, so that one list says what is pinned and what is refused
import { PINNED_SETTINGS } from '../connectors/postgres/pins.js';
import { below, located, strict, type Compiled, type Located } from './problems.js';
import { parsePostgresUrl, type ParsedUrl } from './postgres-url.js';
import { wholeNumberOrDigits } from './quantities.js';
import { withSecrets } from './secrets.js';

const PLACE_KEYS = ['host', 'port', 'database', 'user', 'password'] as const;
const NEEDED = ['host', 'database', 'user'] as const;
const TLS_FILES = ['ca', 'cert', 'key'] as const;

const text = z.string().min(1);
const settingName = z
  .string()
  .regex(/^[a-zA-Z_][\w.]*$/, { error: 'not the name of a setting — write one such as work_mem' })
  .refine((name) => !PINNED_SETTINGS.has(name.toLowerCase()), {
    error: 'Longhaul states this setting itself — leave it out',
  });
const settingValue = z
  .union([z.string(), z.number(), z.boolean()], { error: 'not a value — write a text, a number, true or false' })
  .transform(String);

const tls = strict({
  mode: z.enum(['disable', 'require', 'verify-ca', 'verify-full']),
  ca: text.optional(),
  cert: text.optional(),
  key: text.optional(),
});

/** A connection of type `postgres` in `longhaul.yaml`, references resolved. */
export const postgresSchema = strict({
  type: z.literal('postgres'),
  url: text.optional(),
  host: text.optional(),
  port: wholeNumberOrDigits(1, 65535).optional(),
  database: text.optional(),
  user: text.optional(),
  password: text.optional(),
  tls: tls.optional(),
  settings: z.record(settingName, settingValue).prefault({}),
  maxSessions: wholeNumberOrDigits(1, 10_000).prefault(32),
  ledgerSchema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, {
      error: 'not a schema name — write lower-case letters, digits and _, at most 63',
    })
    .prefault('longhaul'),
});

export type DefaultedPostgres = z.output<typeof postgresSchema>;

export type CompiledPostgres = Compiled<PostgresConnectionConfig>;

/** Makes an absolute path of one beside the configuration file; undefined for a file that can't be read. */
export type FindFile = (path: string) => string | undefined;

/** The connection's own parts, whether they were written as a URL or one by one. Paths are below the connection's own. */
export function compilePostgres(name: string, given: DefaultedPostgres, find: FindFile): CompiledPostgres {
  const url = given.url === undefined ? undefined : parsePostgresUrl(given.url);
  const urlProblems = (url?.problems ?? []).map((each) => below(['url'], each));
  const problems = [...urlProblems, ...tlsProblems(given, url, find)];
  if (problems.length > 0) return { problems, warnings: [] };
  const connection = connectionOf(name, { ...given, ...url?.parts }, find);
  return { connection, problems, warnings: plainWarnings(connection) };
}

function connectionOf(name: string, given: DefaultedPostgres, find: FindFile): PostgresConnectionConfig {
  const { host, port = 5432, database, user, password, settings, maxSessions, ledgerSchema } = given;
  const connection: PostgresConnectionConfig = {
    ...{ type: 'postgres', name, host: host!, port, database: database!, user: user! },
    ...(password === undefined ? {} : { password }),
    ...(given.tls === undefined ? {} : { tls: compileTls(given.tls, find) }),
    ...{ settings, maxSessions, ledgerSchema },
  };
  return withSecrets(connection, ['url', 'password']);
}

function compileTls(given: z.output<typeof tls>, find: FindFile): PostgresTls {
  const files = TLS_FILES.flatMap((key) => (given[key] === undefined ? [] : [[key, find(given[key])!]]));
  return { mode: given.mode, ...(Object.fromEntries(files) as Pick<PostgresTls, 'ca'>) };
}

/** Where the server is: a URL, or the parts, all that are needed of one of them. Told by which keys are there. */
export function placeProblems(given: Readonly<Record<string, unknown>>): Located[] {
  if (given.url === undefined) return NEEDED.filter((key) => given[key] === undefined).map(missingPart);
  const both = PLACE_KEYS.filter((key) => given[key] !== undefined);
  return both.map((key) => located([key], 'stands beside url', 'write either url or the parts, not both'));
}

function missingPart(key: (typeof NEEDED)[number]): Located {
  return located([key], 'is missing', 'write host, database and user, or a url such as ${SOURCE_URL}');
}

function tlsProblems(given: DefaultedPostgres, url: ParsedUrl | undefined, find: FindFile): Located[] {
  const twice = given.tls !== undefined && url?.parts?.tls !== undefined;
  const used = given.tls ?? url?.parts?.tls ?? { mode: 'disable' as const };
  return [
    ...(twice ? [located(['tls'], 'stands beside sslmode in the url', 'keep one of the two')] : []),
    ...((used.cert === undefined) === (used.key === undefined)
      ? []
      : [located(['tls'], 'holds only one of cert and key', 'write both, or neither')]),
    ...TLS_FILES.filter((key) => used[key] !== undefined && find(used[key]) === undefined).map((key) =>
      located(
        ['tls', key],
        'the file can not be read',
        "write the path of a PEM file, as seen from this file's folder",
      ),
    ),
  ];
}

/** Without `tls` a copy over a network goes in the clear, password handshake included: said once, and silenced by saying so. */
function plainWarnings({ host = '', tls }: PostgresConnectionConfig): Located[] {
  const local = host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host);
  if (tls !== undefined || local) return [];
  return [
    located([], 'is not encrypted', 'add tls: {mode: verify-full}, or {mode: disable} if the network is trusted'),
  ];
}
