import type { FaultKind } from '../kind.js';
import { NETWORK_KINDS } from './network.js';
import { WORKER_KINDS } from './workers.js';

export const KINDS: readonly FaultKind[] = [...WORKER_KINDS, ...NETWORK_KINDS];
