import { createServer, type AddressInfo } from 'node:net';
import { DevstackError } from './report.js';

/**
 * `wanted` if it is free, or any free TCP port of 127.0.0.1 if none (0) is wanted. Somebody may take it before its user does:
 * a server that then fails to start says so itself.
 * @throws DevstackError if `wanted` is taken; `what` says by whom it was wanted.
 */
export async function portFor(what: string, wanted = 0): Promise<number> {
  try {
    return await bindOnce(wanted);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'is taken by another program' : String(error);
    throw new DevstackError(
      `Port ${wanted} for ${what} ${why}. End that program, or choose another port (0 = any free).`,
    );
  }
}

/** Binds and lets go; answers with the port. */
function bindOnce(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
