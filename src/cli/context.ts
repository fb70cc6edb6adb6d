import { basename } from 'node:path';
import { configPath, environmentBeside, type Environment } from '../config/index.js';
import { makeScreen, type Screen } from './screen.js';

/** Options of every command. */
export interface GlobalOptions {
  readonly config?: string;
  readonly address?: string;
  readonly namespace?: string;
  readonly color: boolean;
}

/** What every command works with. */
export interface Context {
  readonly screen: Screen;
  /** `--config` as given. */
  readonly config: string | undefined;
  /** This process's environment, with `.env` and the global options added; `process.env` itself is not changed. */
  readonly env: Environment;
  /** A command of ours as it would have to be typed here: `npx longhaul watch nightly`. */
  readonly hint: (...words: string[]) => string;
}

export function makeContext(options: GlobalOptions, processEnv: NodeJS.ProcessEnv = process.env): Context {
  const { config, address, namespace } = options;
  const env = {
    ...environmentBeside(configPath(config, processEnv), processEnv),
    ...(address === undefined ? {} : { TEMPORAL_ADDRESS: address }),
    ...(namespace === undefined ? {} : { TEMPORAL_NAMESPACE: namespace }),
  };
  const repeated = repeatedOptions(options);
  return {
    screen: makeScreen({ color: options.color }),
    config,
    env,
    hint: (...words) => [programName(processEnv), ...words.map(quote), ...repeated].join(' '),
  };
}

/** What must be said again for the next command to find the same Temporal and configuration. */
function repeatedOptions({ config, address, namespace }: GlobalOptions): string[] {
  const given = { '--config': config, '--address': address, '--namespace': namespace };
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name, quote(value)]));
}

/** In a checkout only npx finds the program. */
function programName(env: NodeJS.ProcessEnv): string {
  const calledByName = basename(process.argv[1] ?? '') === 'longhaul';
  return calledByName && env.npm_lifecycle_event !== 'npx' ? 'longhaul' : 'npx longhaul';
}

/** Upper-case words stand for what the reader puts in, and stay as they are. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
