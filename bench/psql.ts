import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Usage } from './longhaul-worker.js';

export function requirePsql(): void {
  if (spawnSync('psql', ['--version']).error) {
    throw new Error(
      'psql is not installed here (or not on PATH), and it is what Longhaul is compared with: install postgresql-client.',
    );
  }
}

/**
 * Runs shell commands at the same time and waits for all. bash's `time` gives the CPU of all psql processes, which nothing in Node does
 * for children.
 */
export async function timePsql(
  commands: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<Usage> {
  const script = `TIMEFORMAT='%R %U %S'; time { ${commands.map((command) => `${command} &`).join(' ')} wait; }`;
  const env = { ...process.env, LC_ALL: 'C', ...variables };
  const bash = spawn('bash', ['-c', script], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  bash.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await once(bash, 'close');
  const times = /^([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(said);
  if (!times) throw new Error(`psql failed: ${said.trim()}`);
  return { wallSeconds: Number(times[1]), cpuSeconds: Number(times[2]) + Number(times[3]), peakRssMB: 0, idleRssMB: 0 };
}
