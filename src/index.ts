/** The public interface of the package, for the authors of sources: docs/sources.md. */
export {
  defineSource,
  FatalError,
  RetryableError,
  type OpenContext,
  type PlannedQuery,
  type SourceDefinition,
  type SourceOptions,
  type SourceRow,
  type StreamRequest,
  type TableDescription,
  type TableRequest,
} from './connectors/module/define.js';
export type { JsonObject, Log, Value } from './connectors/types.js';
export type { QuerySpec } from './core/model.js';
