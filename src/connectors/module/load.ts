import { pathToFileURL } from 'node:url';
import { LonghaulError } from '../../core/errors.js';
import { bounded } from '../../core/text.js';
import * as longhaul from '../../index.js';
import type { ModuleConnectionConfig } from './config.js';
import { formMistake, type SourceDefinition } from './define.js';
import { messageOf, redactorOf } from './errors.js';

const MESSAGE_BYTES = 600;

/** By path. A module is loaded once in a process: a changed file is read when the worker is started again. */
const loaded = new Map<string, Promise<SourceDefinition>>();

/**
 * The source that a connection's module exports. Throws ConnectionFailed for a module that can't be used, so that a copy waits for a
 * worker that has a good one; it is then loaded anew by the next that asks.
 */
export async function loadSource(config: ModuleConnectionConfig): Promise<SourceDefinition> {
  const { path } = config;
  const loading = loaded.get(path) ?? importSource(path);
  loaded.set(path, loading);
  try {
    return await loading;
  } catch (error) {
    loaded.delete(path);
    throw unusable(config, error);
  }
}

/** A module that could be read, and is no source. */
class NotASource extends Error {}

/**
 * jiti, which no other connection needs, takes TypeScript on every Node that we run on. `longhaul` is this very package, wherever the file lies, so that the classes of
 * its errors are ours. Nothing is cached on disk: the folder would be one that others may write to.
 */
async function importSource(path: string): Promise<SourceDefinition> {
  const { createJiti } = await import('jiti');
  const jiti = createJiti(pathToFileURL(path).href, { fsCache: false, virtualModules: { longhaul } });
  const module = await jiti.import<{ readonly default?: unknown }>(path);
  const mistake = formMistake(module.default);
  if (mistake !== undefined) throw new NotASource(mistake);
  return module.default as SourceDefinition;
}

function unusable(config: ModuleConnectionConfig, error: unknown): LonghaulError {
  const { name, written } = config;
  const said = bounded(redactorOf(config)(oneLine(messageOf(error))), MESSAGE_BYTES);
  const notASource = error instanceof NotASource;
  const what = notASource ? error.message : `can't be loaded: ${said}`;
  const remedy = notASource ? 'Let it export default defineSource({open, stream, …})' : 'Correct it';
  return new LonghaulError('ConnectionFailed', `The module ${written} of connection "${name}" ${what}.`, {
    next: `${remedy} and restart the workers; the copy goes on by itself then.`,
  });
}

/** Without the list of who required what. */
function oneLine(message: string): string {
  return message
    .replace(/\nRequire stack:[^]*$/, '')
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/\.$/, '');
}
