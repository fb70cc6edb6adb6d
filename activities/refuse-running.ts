import { LonghaulError } from '../src/core/errors.js';
import type { Ledger } from '../src/connectors/types.js';
import type { Dependencies } from './dependencies.js';

/**
 * A run is taken over from a workflow that has ended: two at work on it would end each other's attempts, and the first to end would close
 * it under the other. Its own workflow may come back to it: after a reset, or started anew under the same id.
 */
export async function refuseRunning(
  { runningRun }: Dependencies,
  ledger: Pick<Ledger, 'runs'>,
  { run, workflowId }: { readonly run: string; readonly workflowId: string },
): Promise<void> {
  const [known] = await ledger.runs({ run, limit: 1, sizes: false });
  if (runningRun === undefined || known === undefined || known.job === workflowId) return;
  if ((await runningRun(known.job)) !== run) return;
  throw new LonghaulError('ResumeRefused', `Run ${run} is under way as job "${known.job}"; nothing was touched.`, {
    next: `Let it go on (longhaul watch ${known.job}), or end it and then resume: longhaul cancel ${known.job}`,
  });
}
