import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jobJsonSchema } from './job-schema.js';
import { connectionsJsonSchema } from './worker-config.js';

/**
 * The JSON Schemas that the files of `longhaul init` name in their first line, so that editors complete and check them: beside them,
 * where they are found without a network and wherever the program itself is installed. Keep them with the files. `init` writes them anew.
 */
export const SCHEMA_FILES: Readonly<Record<string, () => Record<string, unknown>>> = {
  'job.schema.json': jobJsonSchema,
  'longhaul.schema.json': connectionsJsonSchema,
};

/** The files of `longhaul init`, by name. They work as they are once `.env` holds two addresses and job.yaml names a table. */
export const TEMPLATES: Readonly<Record<string, string>> = {
  'longhaul.yaml': `# yaml-language-server: $schema=longhaul.schema.json
# Where data lives, and how this worker works. It stays with the worker: a job only ever says a connection's name.
# \${NAME} takes a value from the environment, or from the file .env beside this one. All keys: docs/configuration.md
connections:
  source:
    type: postgres
    url: \${SOURCE_URL}
    # In place of a url:
    #   host: db.example.com
    #   port: 5432
    #   database: shop
    #   user: longhaul_reader
    #   password: \${SOURCE_PASSWORD}
    # tls: {mode: verify-full}          # disable | require | verify-ca | verify-full; also ca, cert, key: paths of PEM files
    # settings: {work_mem: 64MB}        # server settings of Longhaul's sessions
    # maxSessions: 32                   # most sessions on this server, over all workers

  warehouse:
    type: postgres
    url: \${WAREHOUSE_URL}
    # ledgerSchema: longhaul            # where a destination keeps its record of what is committed

  # A lake is a destination: type delta or parquet, in a folder or in S3
  # lake:
  #   type: delta
  #   path: s3://company-lake/bronze    # or a folder: ./lake
  #   compression: zstd                 # zstd | snappy
  #   targetFileSize: 128MB

  # Any program that writes rows is a source too, one process for each query:
  # legacy:
  #   type: command
  #   run: [python3, extract.py]        # as it is, never through a shell
  #   output: pipe                      # pipe | files | stdout
  #   format: csv                       # csv | ndjson | parquet (in files only)
  #   env: {ERP_PASSWORD: "\${ERP_PASSWORD}"}
  #   maxProcesses: 8                   # at the same time in one worker
  #   stopGrace: 8s                     # from SIGTERM to SIGKILL

# worker:
#   taskQueue: longhaul
#   maxConcurrentPartitions: 16         # at the same time, over all jobs of this worker
#   shutdownGrace: 10s                  # time to roll back after SIGTERM
#   logLevel: info                      # debug | info | warn | error
`,
  'job.yaml': `# yaml-language-server: $schema=job.schema.json
# What is to be copied. Check it: longhaul check job.yaml    Start it: longhaul run job.yaml
# All keys: docs/job-file.md
name: first-copy
source: source                # a connection of longhaul.yaml
destination: warehouse
tables:
  - public.orders             # names are exact; "sales.*" takes a whole schema
  # - from: public.events
  #   to: dw.events           # without it: the same name as in the source
  #   where: created_at >= '2024-01-01'
  #   exclude: [payload]
  #   partitionBy: [region]   # in a Delta table: columns by whose values its files are kept apart
  #   types: {amount: 'decimal(38,9)'}  # in a lake: what a column becomes, where the source's type does not say
  #   partition: {by: id, rows: 5M}     # or size: 1GB, or count: 400; without it: by auto, size 256MB

# parallelism: 4              # partitions copied at the same time
# mode: replace               # replace: the target changes in one step, at the end; append: rows are added in one step
# onFailure: wait             # wait: failed partitions wait for you to retry them; fail: the job fails when the rest is done
# defaults:
#   to: "dw.{table}"          # for every table that has no \`to\`
`,
  '.env.example': `# Copy it to .env and fill it in. Keep .env out of version control. The real environment wins over it.
SOURCE_URL=postgres://user:password@localhost:5432/shop
WAREHOUSE_URL=postgres://user:password@localhost:5432/warehouse

# Temporal, where it isn't at 127.0.0.1:7233. A profile of temporal.toml does the same.
# TEMPORAL_ADDRESS=my-namespace.a1b2c.tmprl.cloud:7233
# TEMPORAL_NAMESPACE=my-namespace.a1b2c
# TEMPORAL_API_KEY=
`,
};

export interface WrittenTemplates {
  readonly written: readonly string[];
  /** Files that stood there already, and were left as they are. */
  readonly kept: readonly string[];
}

/** Writes the templates and schemas into a folder, which is made if need be. A file that exists is kept, but for schemas. Throws what the file system throws. */
export async function writeTemplates(folder: string): Promise<WrittenTemplates> {
  await mkdir(folder, { recursive: true });
  const results = await Promise.all(
    Object.entries(TEMPLATES).map(async ([name, text]) => ({
      name,
      written: await writeNew(join(folder, name), text),
    })),
  );
  const names = (written: boolean) => results.filter((each) => each.written === written).map(({ name }) => name);
  return { written: [...names(true), ...(await writeSchemas(folder))], kept: names(false) };
}

async function writeSchemas(folder: string): Promise<string[]> {
  for (const [name, schema] of Object.entries(SCHEMA_FILES))
    await writeFile(join(folder, name), `${JSON.stringify(schema(), undefined, 2)}\n`);
  return Object.keys(SCHEMA_FILES);
}

/** False when the file exists: decided by the file system in the same step. */
async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
