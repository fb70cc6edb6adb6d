// eslint-disable-next-line no-restricted-imports -- a type, and nothing else of the connector
import type { PostgresTls } from '../connectors/postgres/config.js';
import { located, type Located } from './problems.js';

export interface UrlParts {
  readonly host: string;
  readonly port?: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string;
  readonly tls?: PostgresTls;
}

export interface ParsedUrl {
  /** Absent when there are problems. */
  readonly parts?: UrlParts;
  /** Paths are below the URL's own. None repeats any of the URL. */
  readonly problems: readonly Located[];
}

/** libpq's modes; `no-verify` is node-postgres' word for `require`. `allow` and `prefer` may silently go unencrypted. */
const MODES: Readonly<Record<string, PostgresTls['mode']>> = {
  disable: 'disable',
  require: 'require',
  'no-verify': 'require',
  'verify-ca': 'verify-ca',
  'verify-full': 'verify-full',
};
const PARAMETERS = ['host', 'port', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'];
const SHAPE = 'write postgres://user:password@host:5432/database?sslmode=require';

/** Takes a Postgres URL apart, as libpq reads it; TLS parameters become `tls`. */
export function parsePostgresUrl(text: string): ParsedUrl {
  const url = toUrl(text);
  if (typeof url === 'string') return { problems: [located([], url, SHAPE)] };
  const parts = partsOf(url);
  const problems = [...missing(parts), ...parameterProblems(url)];
  return problems.length > 0 ? { problems } : { parts: parts as UrlParts, problems };
}

/** The URL, or what is wrong with it. A password with a bare `/` or `#` would be cut there and the rest taken for another place. */
function toUrl(text: string): URL | string {
  if (!/^postgres(ql)?:\/\//.test(text)) return 'is not a Postgres URL';
  if (!URL.canParse(text))
    return 'is not a URL (special characters in the password must be percent-encoded: / is %2F, @ is %40)';
  const url = new URL(text);
  const rest = url.pathname.slice(1) + url.hash;
  if (/[/@#]/.test(rest))
    return 'is ambiguous (special characters in the password must be percent-encoded: / is %2F, # is %23)';
  if (url.host.includes(',')) return 'names several hosts';
  return url;
}

function partsOf(url: URL): Partial<UrlParts> {
  const query = url.searchParams;
  const port = url.port || query.get('port');
  const tls = tlsOf(query);
  return {
    host: decode(url.hostname.replace(/^\[(.*)\]$/, '$1')) || (query.get('host') ?? ''),
    ...(port ? { port: Number(port) } : {}),
    database: decode(url.pathname.slice(1)),
    user: decode(url.username),
    ...(url.password === '' ? {} : { password: decode(url.password) }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function tlsOf(query: URLSearchParams): PostgresTls | undefined {
  const mode = MODES[query.get('sslmode') ?? ''];
  if (mode === undefined) return undefined;
  const file = (key: string, parameter: string) => (query.get(parameter) ? { [key]: query.get(parameter)! } : {});
  const system = query.get('sslrootcert') === 'system';
  return { mode, ...(system ? {} : file('ca', 'sslrootcert')), ...file('cert', 'sslcert'), ...file('key', 'sslkey') };
}

function missing(parts: Partial<UrlParts>): Located[] {
  return (['host', 'database', 'user'] as const)
    .filter((key) => !parts[key])
    .map((key) => located([], `names no ${key}`, SHAPE));
}

function parameterProblems(url: URL): Located[] {
  const query = url.searchParams;
  const unknown = [...new Set(query.keys())].filter((key) => !PARAMETERS.includes(key));
  const mode = query.get('sslmode');
  const modes = 'write sslmode=require, verify-ca, verify-full or disable';
  return [
    ...unknown.map((key) =>
      located(
        [],
        `holds the parameter ${plain(key)}, which is not known here`,
        'take it out; server settings belong under settings',
      ),
    ),
    ...(mode !== null && MODES[mode] === undefined
      ? [located([], 'holds an sslmode that promises nothing', modes)]
      : []),
    ...(mode === null && [...query.keys()].some((key) => key.startsWith('ssl'))
      ? [located([], 'holds TLS files but no sslmode', modes)]
      : []),
    ...(query.has('port') && !/^\d{1,5}$/.test(query.get('port')!)
      ? [located([], 'holds a port that is not a number', SHAPE)]
      : []),
  ];
}

/** A parameter's name, unless it is no plain word: then it may be a piece of something else. */
function plain(key: string): string {
  return /^[a-z_]{1,40}$/.test(key) ? key : 'of an unusual name';
}

/** Percent-decoded; as it stands where it is not encoded rightly, as libpq would refuse but people write. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
