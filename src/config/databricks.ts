import { z } from 'zod';
// eslint-disable-next-line no-restricted-imports -- types of what this schema makes, and nothing else of the connector
import type { DatabricksConnectionConfig, VolumePlace } from '../connectors/databricks/config.js';
import { fileSettings } from './lake.js';
import { located, strict, type Compiled, type Located } from './problems.js';
import { withSecrets } from './secrets.js';

const text = z.string().min(1);
const NAME = /^[^\s./`]+$/;
const VOLUME = 'not a volume — write catalog.schema.volume';

const named = z.string().regex(NAME, { error: "not a catalog's name — write one without dots, spaces and slashes" });

/** A connection of type `databricks` in `longhaul.yaml`, references resolved. */
export const databricksSchema = strict({
  type: z.literal('databricks'),
  host: text,
  warehouse: z.string().regex(/^[\w-]+$/, {
    error: "not a warehouse's id — write what stands at the end of its HTTP path, e.g. 1234567890abcdef",
  }),
  token: text.optional(),
  clientId: text.optional(),
  clientSecret: text.optional(),
  catalog: named.optional(),
  volume: z
    .string({ error: VOLUME })
    .refine((written) => parts(written) !== undefined, { error: VOLUME })
    .optional(),
  folder: z
    .string()
    .regex(/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/, {
      error: 'not a folder of the volume — write names of letters, digits, _ . - with slashes between them',
    })
    .prefault('longhaul'),
  ...fileSettings,
});

export type CompiledDatabricks = Compiled<DatabricksConnectionConfig>;

export function compileDatabricks(name: string, given: z.output<typeof databricksSchema>): CompiledDatabricks {
  const host = originOf(given.host);
  const problems = [...signInProblems(given), ...(host === undefined ? [wrongHost()] : []), ...sizeProblems(given)];
  if (host === undefined || problems.length > 0) return { problems, warnings: [] };
  const { token, clientId, clientSecret, catalog, warehouse, compression, targetFileSize, outOfRange } = given;
  const volume = volumeOf(given);
  const connection: DatabricksConnectionConfig = {
    ...{ type: 'databricks', name, host, warehouseId: warehouse },
    ...{ compression, targetFileSize, outOfRange },
    ...(token === undefined ? {} : { token }),
    ...(clientId === undefined ? {} : { client: withSecrets({ id: clientId, secret: clientSecret! }, ['secret']) }),
    ...(catalog === undefined ? {} : { catalog }),
    ...(volume === undefined ? {} : { volume }),
  };
  return { connection: withSecrets(connection, ['token']), problems, warnings: [] };
}

function volumeOf({ volume, folder }: z.output<typeof databricksSchema>): VolumePlace | undefined {
  const named = volume === undefined ? undefined : parts(volume);
  return named && { catalog: named[0], schema: named[1], volume: named[2], folder };
}

function parts(written: string): [string, string, string] | undefined {
  const found = written.split('.');
  return found.length === 3 && found.every((part) => NAME.test(part)) ? (found as [string, string, string]) : undefined;
}

/** `adb-1234.5.azuredatabricks.net`, with or without `https://`. In the clear only on this machine, where a test's server may be. */
function originOf(host: string): string | undefined {
  const written = /^https?:\/\//.test(host) ? host : `https://${host}`;
  if (!URL.canParse(written)) return undefined;
  const { protocol, hostname, pathname, search, username, password, origin } = new URL(written);
  const bare = pathname === '/' && search === '' && username === '' && password === '';
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return bare && (protocol === 'https:' || local) ? origin : undefined;
}

function wrongHost(): Located {
  const fix = 'write the host of the workspace, e.g. adb-1234567890.1.azuredatabricks.net';
  return located(['host'], 'is not the host of a workspace', fix);
}

/** The Files API takes 5 GiB; a file is somewhat larger than its target. */
const LARGEST_FILE = 4 * 1024 ** 3;

function sizeProblems({ targetFileSize }: z.output<typeof databricksSchema>): Located[] {
  if (targetFileSize <= LARGEST_FILE) return [];
  return [located(['targetFileSize'], 'is more than the Files API takes', 'write at most 4GB, e.g. 128MB')];
}

/** A token, or both of a client's. */
function signInProblems({ token, clientId, clientSecret }: z.output<typeof databricksSchema>): Located[] {
  const client = clientId !== undefined || clientSecret !== undefined;
  if (token !== undefined && client)
    return [located(['token'], 'stands beside clientId or clientSecret', 'write either the token or the two')];
  if (token === undefined && !client)
    return [
      located(['token'], 'is missing', 'write a token such as ${DATABRICKS_TOKEN}, or clientId and clientSecret'),
    ];
  if (client && (clientId === undefined || clientSecret === undefined))
    return [located([clientId === undefined ? 'clientId' : 'clientSecret'], 'is missing', 'write both, or a token')];
  return [];
}
