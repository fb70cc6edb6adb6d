import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';

export function addWorker({ command, action }: Registry): void {
  command(
    'worker',
    'run a worker: it has the connections and does the copying. SIGTERM hands its partitions over to others',
    'longhaul worker --config /etc/longhaul/longhaul.yaml',
  ).action(
    action(async ({ config, env }) => {
      const { runWorker } = await import('../../worker/run.js');
      await runWorker({ config, env });
      return EXIT.ok;
    }),
  );
}
