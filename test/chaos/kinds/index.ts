import type { FaultKind } from '../kind.js';
import { BACKEND_KINDS } from './backends.js';
import { diskFull } from './disk-full.js';
import { NETWORK_KINDS } from './network.js';
import { SERVER_KINDS } from './servers.js';
import { SOURCE_KINDS } from './source.js';
import { WORKER_KINDS } from './workers.js';

export const KINDS: readonly FaultKind[] = [
  ...WORKER_KINDS,
  ...NETWORK_KINDS,
  ...BACKEND_KINDS,
  ...SERVER_KINDS,
  diskFull,
  ...SOURCE_KINDS,
];
