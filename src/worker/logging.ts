import type { Logger as SdkLogger, LogLevel, LogMetadata } from '@temporalio/worker';
import { pino, type Logger } from 'pino';
import type { WorkerSettings } from '../config/index.js';

/** Structured logs on standard output, one JSON object a line. */
export function createLog(level: WorkerSettings['logLevel']): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}

/** Of the SDK's metadata what a person can use; task tokens and the like stay out. */
const KEPT = ['sdkComponent', 'workflowId', 'workflowType', 'activityType', 'attempt', 'durationMs', 'reason', 'run'];

/**
 * The SDK's own lines in our log, from `warn` on, and those of workflows from `info` on. Failures of activities are told by the
 * activity interceptor, with table and partition.
 */
export function sdkLogger(log: Logger): SdkLogger {
  const write = (level: LogLevel, message: string, meta: LogMetadata = {}): void => {
    if (message === 'Activity failed') return;
    const quiet = level === 'INFO' && meta.sdkComponent !== 'workflow';
    log[quiet ? 'debug' : methodOf(level)](fieldsOf(meta), message);
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('INFO', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}

function methodOf(level: LogLevel): 'trace' | 'debug' | 'info' | 'warn' | 'error' {
  return level.toLowerCase() as Lowercase<LogLevel>;
}

function fieldsOf(meta: LogMetadata): Record<string, unknown> {
  const fields = Object.fromEntries(KEPT.filter((key) => meta[key] !== undefined).map((key) => [key, meta[key]]));
  const { error } = meta as { error?: unknown };
  return error instanceof Error ? { ...fields, error: `${error.name}: ${error.message}` } : fields;
}
