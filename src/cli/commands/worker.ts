import { loadTemporalConfig, loadWorkerConfig } from '../../config/index.js';
import { formatProblems } from '../../core/errors.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';
import { unreachable } from '../temporal.js';

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
        // What the SDK throws when Temporal is not there at the start; later it tries again by itself.
        const away = error instanceof Error && error.name === 'TransportError';
        throw away ? unreachable(loadTemporalConfig(env).address, context) : error;
      });
      return EXIT.ok;
    }),
  );
}
