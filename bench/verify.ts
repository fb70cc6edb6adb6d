/**
 * What `verify: checksum` costs beside the copy: the same job over lineitem with `counts` and with `checksum`, by turns, on a real
 * worker under a Temporal server, into an empty target. Only the ratio within one run means anything: machines differ, and are shared.
 *
 *   npm run bench:verify -- [--rows 6001215] [--rounds 3] [--parallelism 2]
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Verify } from '../src/core/model.js';
import { startPostgres } from '../src/devstack/postgres.js';
import { prepare, run } from './lineitem.js';
import { startLonghaul, type LonghaulContestant } from './longhaul-worker.js';

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { rows: text, rounds: text, parallelism: text } });
  const rows = Number(values.rows ?? '6001215');
  const rounds = Number(values.rounds ?? '3');
  const parallelism = Number(values.parallelism ?? '2');
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-verify-'));
  await chmod(folder, 0o755);
  // Not durable: the disk is not what is compared, and it would be the noise.
  const start = (name: string) => startPostgres({ dataDir: join(folder, name), durable: false });
  const [source, destination] = await Promise.all([start('source'), start('destination')]);
  try {
    const urls = { source: source.url(), destination: destination.url() };
    await prepare(urls.source, urls.destination, rows);
    await using longhaul = await startLonghaul(urls.source, urls.destination);
    await play(longhaul, urls, { rows, rounds, parallelism });
  } finally {
    await Promise.all([source.stop({ mode: 'immediate' }), destination.stop({ mode: 'immediate' })]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function play(
  longhaul: LonghaulContestant,
  urls: { readonly source: string; readonly destination: string },
  { rows, rounds, parallelism }: { rows: number; rounds: number; parallelism: number },
): Promise<void> {
  const seconds = async (verify: Verify): Promise<number> => {
    await run(urls.destination, 'TRUNCATE lineitem');
    await run(urls.destination, 'CHECKPOINT');
    return (await longhaul.copy({ ...urls, parallelism, rows, verify })).wallSeconds;
  };
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Who comes first changes: a warm cache or a busy neighbour shall favour nobody.
    const order: readonly Verify[] = round % 2 === 0 ? ['counts', 'checksum'] : ['checksum', 'counts'];
    const took: Record<Verify, number> = { counts: 0, checksum: 0 };
    for (const verify of order) took[verify] = await seconds(verify);
    ratios.push(took.checksum / took.counts);
    const show = (verify: Verify) => `${verify} ${took[verify].toFixed(2)} s`;
    console.log(`round ${round + 1}:  ${show('counts')}  |  ${show('checksum')}  |  ${ratios.at(-1)!.toFixed(2)}`);
  }
  const sorted = ratios.sort((a, b) => a - b);
  console.log(`\nchecksum ÷ counts, median of ${rounds} rounds: ${sorted[Math.floor((rounds - 1) / 2)]!.toFixed(2)}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
