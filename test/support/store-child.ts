import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What a process of its own does with a folder, until it is told to go on by being killed. */
const SCRIPTS = {
  /** Has written 3 MB of an object that it does not finish. */
  create: `
    const { openStore } = await jiti.import(source('open.ts'));
    const store = await openStore({ kind: 'local', path: root }, options);
    const writer = await store.create(path);
    await writer.write(Buffer.alloc(3_000_000, 'x'));`,
  /** Holds the lock under which an object is replaced. */
  lock: `
    const { withPathLock } = await jiti.import(source('local-lock.ts'));
    await new Promise((resolve) => void withPathLock(path, { ...options, root, patience: 1000 }, () => {
      resolve();
      return new Promise(() => undefined);
    }));`,
};

export interface StoreChild extends AsyncDisposable {
  readonly pid: number;
  kill(): Promise<void>;
}

/** Starts one, and resolves when it is where its script ends. */
export async function startStoreChild(script: keyof typeof SCRIPTS, root: string, path: string): Promise<StoreChild> {
  const code = `
    import { createJiti } from 'jiti';
    const [root, path, base] = process.argv.slice(1);
    const jiti = createJiti(base);
    const source = (name) => base + name;
    const log = { debug() {}, info() {}, warn() {} };
    const options = { name: 'lake', signal: new AbortController().signal, log };
    ${SCRIPTS[script]}
    console.log('ready');
    setInterval(() => undefined, 1000);`;
  const base = fileURLToPath(new URL('../../src/connectors/objects/', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, root, path, base], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  });
  await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failsEarly(child)]);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { pid: child.pid!, kill, [Symbol.asyncDispose]: kill };
}

async function failsEarly(child: ChildProcess): Promise<never> {
  await once(child, 'exit');
  throw new Error('the process ended before it was ready');
}
