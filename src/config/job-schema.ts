import { z } from 'zod';
import { kindOf, strict } from './problems.js';
import { count, duration, size, wholeNumber } from './quantities.js';
import { isPattern, parseTableName, placeholders } from './table-name.js';
import { didYouMean } from '../core/suggest.js';

/** The job file's form: key by key, with its defaults. What keys mean together is checked in job.ts. */

const text = (what: string) => z.string({ error: `is not ${what} — write ${what}` }).min(1);

/** Never repeated in a message: a person who writes a URL here has written a password. */
const connectionName = z
  .string({ error: 'is not a name — write the name of a connection in longhaul.yaml' })
  .regex(/^[A-Za-z][\w.-]{0,62}$/, {
    error: 'is not the name of a connection — write a name from longhaul.yaml, where the URL and password belong',
  });

const NOT_A_TABLE = 'is not the name of a table — write schema.table (double quotes around a part with a dot or space)';
const tablePattern = z
  .string({ error: NOT_A_TABLE })
  .refine((name) => parseTableName(name) !== undefined, { error: NOT_A_TABLE });

const queryGroupName = z.string({ error: 'is not a name — write one such as orders' }).refine(
  (name) => {
    const parsed = parseTableName(name);
    return parsed !== undefined && !isPattern(parsed);
  },
  { error: 'is not a name — write one such as orders, or erp.orders' },
);

const target = z.string({ error: NOT_A_TABLE }).transform((template, context) => {
  const message = targetMistake(template);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
  return template;
});

function targetMistake(template: string): string | undefined {
  const known = ['schema', 'table'];
  const unknown = placeholders(template).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const meant = didYouMean(unknown, known);
    return `holds a placeholder that is not known — ${meant === undefined ? 'the placeholders are {schema} and {table}' : `did you mean {${meant}}?`}`;
  }
  const example = template.replace(/\{(schema|table)\}/g, 'x');
  const parsed = parseTableName(example);
  if (parsed === undefined) return NOT_A_TABLE;
  return isPattern(parsed) ? "holds a star — write {table} where the table's own name belongs" : undefined;
}

const COLUMNS = 'is not a list of columns — write e.g. [id, amount]';
const columns = z
  .array(
    z.string({ error: 'is not the name of a column — write a name (in quotes where YAML would read a number)' }).min(1),
    {
      error: COLUMNS,
    },
  )
  .min(1, { error: 'is an empty list — name columns, or leave the key out for all' });

const COLUMN_TYPES =
  'is neither a list of columns nor types by column — write [id, amount], or {id: bigint} beside queries';
/** A name that is a number would lose its place: such keys of a mapping are sorted before all others. */
const declaredColumns = z
  .record(
    z.string().regex(/^(?!\d+$)./, { error: 'is not the name of a column — give it a name that is no number' }),
    text("a type as the destination writes it, e.g. bigint or 'numeric(12,2)'"),
  )
  .refine((types) => Object.keys(types).length > 0, { error: 'is empty — write e.g. {id: bigint, name: text}' });

const where = text("a condition in the source's SQL, e.g. created_at >= '2024-01-01'");
const mode = z.enum(['replace', 'append']);
const verify = z.enum(['counts', 'checksum']);
const publish = z.enum(['table', 'partition']);

const BY = 'is not a way to cut a table — write auto, pages, a column, or a list of columns';
/** A column that is called auto or pages is written as a list. */
const by = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(32)], { error: BY })
  .transform((given) => (Array.isArray(given) ? given : given === 'auto' || given === 'pages' ? given : [given]));

const LAKE_TYPES = "is not a mapping of columns to types — write e.g. {amount: 'decimal(38,9)'}";
const types = z
  .record(z.string().min(1), text("a type of the destination, e.g. 'decimal(38,9)' or string"), {
    error: silentFor(LAKE_TYPES),
  })
  .refine((given) => Object.keys(given).length > 0, { error: 'is empty — name columns, or leave the key out' });

const rejects = strict({ max: wholeNumber(1, 1_000_000_000) });

const partition = strict({
  by: by.optional(),
  size: size('256MB').optional(),
  rows: count('5M').optional(),
  count: count('400').optional(),
});

/** What an entry may say and `defaults` may say for all entries. */
const tableKeys = {
  to: target.optional(),
  columns: columns.optional(),
  exclude: columns.optional(),
  where: where.optional(),
  mode: mode.optional(),
  partition: partition.optional(),
  verify: verify.optional(),
  publish: publish.optional(),
  rejects: rejects.optional(),
  partitionBy: columns.optional(),
  types: types.optional(),
};

/** Characters of a query's id. */
export const LONGEST_ID = 200;

/** Ids are often numbers in the control tables they come from. */
const queryId = z
  .union([z.string(), z.int()], { error: 'is not an id — write a text or a whole number' })
  .transform(String)
  .pipe(z.string().min(1).max(LONGEST_ID));

const query = strict({ id: queryId, sql: text('the text of a query') });

export const MOST_QUERIES = 100_000;
export const MOST_TABLES = 2_000;

const queriesFrom = strict({
  file: text("the path of a file beside the worker's longhaul.yaml, e.g. queries.csv")
    .regex(/\.(csv|json|ya?ml)$/i, { error: 'is not a list that can be read — name a .csv, .json or .yaml file' })
    .optional(),
  connection: connectionName.optional(),
  sql: text('a query that answers with query_id, table_name, query').optional(),
  onCommitted: text('a statement, e.g. UPDATE … WHERE query_id = :query_id AND table_name = :table_name').optional(),
});

const entry = strict({
  from: tablePattern.optional(),
  table: queryGroupName.optional(),
  queries: z.array(query).min(1, { error: 'is an empty list — write {id, sql} entries' }).optional(),
  queriesFrom: queriesFrom.optional(),
  ...tableKeys,
  columns: z.union([columns, declaredColumns], { error: silentFor(COLUMN_TYPES) }).optional(),
});

/**
 * Workers send heartbeats every 3 s, or after 80% of the timeout if that is less: below 5 s a pause of a healthy worker's
 * event loop, or a slow answer of the server, would be a crash.
 */
const LEAST_HEARTBEAT = '5s';
const HEARTBEATS = 'workers are heard every 3s';

const retry = strict({
  maximumAttempts: wholeNumber(1, 1000).default(5),
  initialInterval: duration('5s').prefault('5s'),
  backoffCoefficient: z
    .number({ error: 'is not a number — write 2, say' })
    .min(1, { error: 'is less than 1 — write 1 for even intervals, 2 to double them' })
    .max(100, { error: 'is more than 100 — write 2, say' })
    .default(2),
  maximumInterval: duration('5m').prefault('5m'),
  maximumCrashes: wholeNumber(1, 1000).default(10),
  heartbeatTimeout: duration('30s', LEAST_HEARTBEAT, HEARTBEATS).prefault('30s'),
  attemptTimeout: duration('24h', '1s').prefault('24h'),
  stallTimeout: duration('10m', '1s').prefault('10m'),
  firstByteTimeout: z
    .union([z.literal('none'), duration('30m', '1s')], { error: 'is not a duration — write one such as 30m, or none' })
    .prefault('none'),
});

/** Silent where one of the union's members has more to say. */
function silentFor(message: string): (issue: { input?: unknown }) => string | undefined {
  return ({ input }) => (typeof input === 'object' && input !== null ? undefined : message);
}

function neitherNameNorKeys({ input }: { input?: unknown }): string | undefined {
  if (typeof input === 'string' || (typeof input === 'object' && input !== null && !Array.isArray(input)))
    return undefined;
  return `is ${kindOf(input)} — write schema.table, or keys such as {from: schema.table, where: …}`;
}

const flag = z.boolean({ error: 'is not true or false — write true, or leave the key out' }).default(false);

const TABLES = 'is not a list of tables — write e.g. ["public.orders", "sales.*"]';

export const jobSchema = strict({
  name: z.string({ error: 'is not a name — write one such as nightly' }).regex(/^[A-Za-z0-9][\w.-]{0,99}$/, {
    error: 'is not a name — write letters, digits, _ . and -, at most 100, beginning with a letter or digit',
  }),
  source: connectionName,
  destination: connectionName,
  parallelism: wholeNumber(1, 1000).default(4),
  mode: mode.default('replace'),
  onFailure: z.enum(['wait', 'fail']).default('wait'),
  consistency: z.enum(['per-partition', 'snapshot']).default('per-partition'),
  onSnapshotLost: z.enum(['restart', 'fail']).default('restart'),
  maxSnapshotAge: duration('12h', '1m').optional(),
  keepStaging: duration('7d', '1m').prefault('7d'),
  again: flag,
  allowFewer: flag,
  maxParked: wholeNumber(1, 1000).default(100),
  retry: retry.prefault({}),
  resume: z
    .string({ error: 'is not the id of a run — write it as `longhaul ls` shows it' })
    .regex(/^[\w.-]{1,200}$/, { error: 'is not the id of a run — write it as `longhaul ls` shows it' })
    .optional(),
  defaults: strict(tableKeys).prefault({}),
  tables: z
    .array(z.union([tablePattern, entry], { error: neitherNameNorKeys }), { error: TABLES })
    .min(1, { error: 'is an empty list — name at least one table, e.g. ["public.orders"]' })
    .max(MOST_TABLES, { error: `holds more than ${MOST_TABLES} tables — make several jobs of it` }),
});

/** The job after zod: texts parsed, defaults of the job filled in, `defaults` not yet applied to the tables. */
export type DefaultedJob = z.output<typeof jobSchema>;
export type DefaultedEntry = z.output<typeof entry>;
export type TableDefaults = DefaultedJob['defaults'];

/** JSON Schema (draft 2020-12) of the job file, for editors. */
export function jobJsonSchema(): Record<string, unknown> {
  return { title: 'Longhaul job', ...z.toJSONSchema(jobSchema, { io: 'input' }) };
}
