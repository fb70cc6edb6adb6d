/** The worker's configuration, Temporal's address, and job files: what other rooms use of this one. */
export { configPath, environmentBeside, type Environment } from './environment.js';
export { ConfigError } from './problems.js';
export {
  compileWorkerConfig,
  connectionsJsonSchema,
  loadWorkerConfig,
  type ConnectionConfig,
  type LoadedConfig,
  type WorkerConfig,
  type WorkerSettings,
} from './worker-config.js';
export { loadTemporalConfig, type TemporalConfig } from './temporal.js';
export type { CompiledEntry, CompiledJob } from './compiled-job.js';
export { DEFAULT_PARTITION_SIZE } from '../core/partition.js';
export { parseJob, type ParsedJob } from './job.js';
export { expandTables, type ExpandedJob, type ExpandedTable } from './expand.js';
export { readJobFile } from './job-file.js';
export { jobJsonSchema } from './job-schema.js';
export { SCHEMA_FILES, TEMPLATES, writeTemplates, type WrittenTemplates } from './templates.js';
