import { loadTemporalConfig, loadWorkerConfig, type Environment } from '../../config/index.js';
import { formatProblems } from '../../core/errors.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';
import { noSuchNamespace, unreachable } from '../temporal.js';

export function addWorker({ command, action }: Registry): void {
  command(
    'worker',
    'a worker, which does the copying',
    'longhaul worker --config /etc/longhaul/longhaul.yaml\n\n' +
      'SIGTERM and Ctrl-C end it in order: its partitions roll back and go to other workers.',
  ).action(
    action(async (context) => {
      const { config, env } = loadWorkerConfig(context.config, context.env);
      const { err } = context.screen;
      if (config.warnings.length > 0) {
        err.line(`${err.colors.yellow('! warning')}  ${formatProblems(config.warnings)}`);
      }
      const { runWorker } = await import('../../worker/run.js');
      await runWorker({ config, env }).catch((error: unknown) => {
        // The SDK's runtime may outlive what failed, and would keep the process.
        setTimeout(() => process.exit(), LAST_WORDS).unref();
        throw connectTrouble(error, context, env);
      });
      return EXIT.ok;
    }),
  );
}

/** Milliseconds to write an error before the process ends. */
const LAST_WORDS = 500;

/** What the SDK throws when it can't begin; once begun it tries again by itself. */
function connectTrouble(error: unknown, context: Context, env: Environment): unknown {
  if (!(error instanceof Error) || error.name !== 'TransportError') return error;
  const { address, namespace } = loadTemporalConfig(env);
  return /^Namespace .* was not found/.test(error.message)
    ? noSuchNamespace(address, namespace)
    : unreachable(address, context);
}
