import { checkJob, type Asking, type CheckedJob } from '../../activities/check.js';
import type { Attempt } from '../../activities/attempt.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';
import type { Connector, Log } from '../../src/connectors/types.js';
import { formatProblems } from '../../src/core/errors.js';
import { connectionTo } from './connection.js';

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** An attempt that no Temporal runs. */
export function attemptOf(label = 'longhaul'): Attempt {
  const { signal } = new AbortController();
  return {
    signal,
    log,
    meter: { rows: 0, bytes: 0, phase: '' },
    number: 1,
    session: () => ({ signal, log, label }),
    watchBytes: () => ({ [Symbol.dispose]: () => undefined }),
  };
}

export interface Checked {
  readonly problems: string;
  readonly warnings: string;
  readonly checked: CheckedJob;
}

/** The check of a job over connections given by URL, as lines of text. */
export async function check(
  urls: Readonly<Record<string, string>>,
  job: object,
  options: {
    readonly on?: Partial<PostgresConnectionConfig>;
    readonly asking?: Asking;
    /** See `Dependencies.folder`. */
    readonly folder?: string;
  } = {},
): Promise<Checked> {
  const connectors = new Map(
    Object.entries(urls).map(([name, url]): [string, Connector] => [
      name,
      createPostgresConnector(connectionTo(name, url, options.on)),
    ]),
  );
  const raw = { name: 'nightly', source: 'shop', destination: 'warehouse', ...job };
  const { folder, asking = { tell: 'everything' } } = options;
  const checked = await checkJob({ connectors, log, ...(folder && { folder }) }, raw, attemptOf(), asking);
  return { problems: formatProblems(checked.problems), warnings: formatProblems(checked.warnings), checked };
}
