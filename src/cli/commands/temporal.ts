import type { Registry } from '../registry.js';

export function addTemporal({ command, action }: Registry): void {
  command(
    'temporal [arguments...]',
    'the Temporal CLI, with your arguments',
    'longhaul temporal workflow show --workflow-id nightly',
  ).action(
    action(async ({ env }, args: string[]) => {
      const { runTemporalCli } = await import('../../devstack/temporal-run.js');
      return runTemporalCli(args, { env });
    }),
  );
}
