import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import type { Environment } from './environment.js';
import { ConfigError } from './problems.js';
import { withSecrets } from './secrets.js';

/** Where Temporal is, for clients and workers alike. The connection options hold secrets (API key, client key), which they don't print. */
export interface TemporalConfig {
  /** `host:port`; default 127.0.0.1:7233. */
  readonly address: string;
  /** Default `default`. */
  readonly namespace: string;
  /** For `Connection.connect` and `NativeConnection.connect`. */
  readonly connectionOptions: ClientConnectConfig['connectionOptions'];
}

const ADDRESS = '127.0.0.1:7233';

/**
 * Reads the profile of `temporal.toml` (named by `profile`, else TEMPORAL_PROFILE, else `default`; the file by TEMPORAL_CONFIG_FILE,
 * else where every Temporal program looks) and then the TEMPORAL_* variables, which win. Throws ConfigError.
 */
export function loadTemporalConfig(env: Environment = process.env, profile?: string): TemporalConfig {
  const { connectionOptions: found, namespace } = load(env, profile);
  const address = found.address || ADDRESS;
  const connectionOptions = withSecrets({ ...found, address }, ['apiKey', 'tls', 'metadata']);
  return { address, namespace: namespace || 'default', connectionOptions };
}

function load(env: Environment, profile: string | undefined): ClientConnectConfig {
  const overrideEnvVars = Object.fromEntries(Object.entries(env).filter(([, value]) => value)) as Record<
    string,
    string
  >;
  try {
    return loadClientConnectConfig({ overrideEnvVars, ...(profile === undefined ? {} : { profile }) });
  } catch (error) {
    const wanted = profile ?? overrideEnvVars.TEMPORAL_PROFILE;
    throw new ConfigError(overrideEnvVars.TEMPORAL_CONFIG_FILE ?? 'The Temporal configuration', [
      explain(error, wanted),
    ]);
  }
}

/** The library's own messages repeat lines of the file, which may be secrets: only the kind of mistake is taken from them. */
function explain(error: unknown, profile: string | undefined) {
  const { code, path, line, message } = error as Partial<NodeJS.ErrnoException> & { line?: number };
  if (typeof line === 'number')
    return { path: `line ${line}`, message: 'not valid TOML', fix: 'see the syntax at toml.io' };
  if (code !== undefined) {
    const fix = 'correct its path in temporal.toml or in TEMPORAL_TLS_*_PATH';
    return { path: '', message: `the file ${path ?? ''} can not be read (${code})`, fix };
  }
  if (/^Cannot specify both \w+ and \w+$/.test(message ?? '')) {
    return {
      path: 'tls',
      message: (message ?? '').replace('Cannot specify both', 'says both'),
      fix: 'keep one of the two',
    };
  }
  if (profile === undefined)
    return { path: '', message: 'it can not be understood', fix: 'its profiles are [profile.NAME] tables' };
  const fix = '`temporal config list` shows the profiles; TEMPORAL_PROFILE and --profile choose one';
  return { path: '', message: `there is no profile "${profile}"`, fix };
}
