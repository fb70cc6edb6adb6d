import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import { reasons, states } from './look.js';
import type { Scene } from './scene.js';

/** What a person does to a job. */

/** From this file, compiled or not. */
const CLI = fileURLToPath(
  new URL(
    import.meta.url.includes('/dist/test/') ? '../../../bin/longhaul.js' : '../../bin/longhaul.js',
    import.meta.url,
  ),
);

/** Milliseconds that a command may take. */
const PATIENCE = 120_000;

/** Runs a command as a person does, in the folder of longhaul.yaml. Rejects, with what it said, when it exits with another code than 0. */
export function longhaul({ stack }: Scene, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd: dirname(stack.config), env: stack.env, timeout: PATIENCE };
    execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`longhaul ${args.join(' ')}: ${stdout}${stderr || error.message}`));
    });
  });
}

/** Gives the run of the last job, which has ended, up for good. */
export async function clean(scene: Scene): Promise<void> {
  await longhaul(scene, 'clean', '--run', scene.run, '--destination', scene.target.connection);
  scene.discarded.add(scene.run);
}

/** Awaits the end of the last job, however it ends. Answers how. */
export async function settled(scene: Scene): Promise<string> {
  await scene.handle.result().catch(() => undefined);
  return (await scene.handle.describe()).status.name;
}

/** Of a request to the job. False: the job had ended by itself a moment before, and nothing was done. */
export async function reached(asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** All that its failure says; undefined: it ended well. */
export async function failureOf(handle: WorkflowHandle): Promise<string | undefined> {
  return handle.result().then(() => undefined, reasons);
}

/** Starts a job anew whose run was given up; what was just being published then is gone on with: there is nothing to start anew. */
export async function startAnew(scene: Scene): Promise<void> {
  const published = (await states(scene)).includes('published');
  await scene.start(published ? { resume: scene.run } : {});
}

/** A moment of the job chosen by chance, when some part of it is copied. False: it ended before. */
export async function somewhere(scene: Scene, most = 0.9): Promise<boolean> {
  if (!(await scene.untilCopying(scene.random.next() * most))) return false;
  await scene.moment(600);
  return !(await scene.hasEnded());
}

/** Unlike `scene.until`, also when the job has ended; looked at every 300 ms. */
export async function eventually(scene: Scene, condition: () => Promise<boolean>, within = 60_000): Promise<boolean> {
  const deadline = Date.now() + within;
  while (!(await condition())) {
    scene.mustGoOn();
    if (Date.now() > deadline) return false;
    await sleep(300);
  }
  return true;
}
