import { Worker } from 'node:worker_threads';
import type { ThreadData } from './messages.js';

const THREAD = new URL('./thread.js', import.meta.url);

const SLOT_BYTES = 1 << 20;
const SLOTS = 3;

/** How long a thread waits for its next stream, in ms. */
const IDLE_MS = 30_000;

/** A thread, and the buffers in which bytes are lent to it by turns. One stream has it at a time. */
export interface Thread {
  readonly worker: Worker;
  readonly slots: readonly Uint8Array[];
}

/**
 * Threads that have no stream at the moment. One that has made files before does it faster: the engine has compiled its code, and its memory
 * is there. Threads that come and go leave memory behind in the C library's arenas.
 */
const idle = new Map<Thread, NodeJS.Timeout>();

export function takeThread(): Thread {
  const [waiting] = [...idle.keys()].slice(-1);
  if (waiting === undefined) return startThread();
  leave(waiting);
  waiting.worker.ref();
  return waiting;
}

/** Its stream has ended well: no message of either side is under way any more but what it sends of its own accord never. */
export function giveBack(thread: Thread): void {
  const { worker } = thread;
  unheard(worker);
  worker.once('error', () => leave(thread));
  worker.once('exit', () => leave(thread));
  worker.unref();
  const end = () => {
    leave(thread);
    void worker.terminate();
  };
  idle.set(thread, setTimeout(end, IDLE_MS).unref());
}

function leave(thread: Thread): void {
  clearTimeout(idle.get(thread));
  idle.delete(thread);
  unheard(thread.worker);
}

/** By their names: without a name, Node loses its own listeners too, by which a worker that is listened to again is heard again. */
function unheard(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
}

function startThread(): Thread {
  const slots = Array.from({ length: SLOTS }, () => new SharedArrayBuffer(SLOT_BYTES));
  const workerData: ThreadData = { slots };
  const worker = new Worker(THREAD, { workerData });
  return { worker, slots: slots.map((slot) => new Uint8Array(slot)) };
}
