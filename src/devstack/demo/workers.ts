import { join } from 'node:path';
import { packageFile } from '../../package-file.js';
import { spawnSupervised, type Supervised } from '../supervised.js';

/** Worker processes as a person starts them. They end with this process. */
export interface Workers {
  /** Starts one more. */
  start(): Promise<Supervised>;
  /** Ends those that still run. */
  stop(): Promise<void>;
}

/** `config` is the longhaul.yaml; the log goes to worker.log in `dir`, where the workers also run. */
export function makeWorkers(dir: string, config: string, env: NodeJS.ProcessEnv): Workers {
  const started: Supervised[] = [];
  return {
    async start() {
      const worker = await spawnSupervised(
        process.execPath,
        [packageFile('bin', 'longhaul.js')!, 'worker', '--config', config],
        { logFile: join(dir, 'worker.log'), cwd: dir, env, stopSignal: 'SIGTERM', graceMs: 15_000 },
      );
      started.push(worker);
      return worker;
    },
    async stop() {
      await Promise.all(started.map((worker) => worker.stop()));
    },
  };
}
