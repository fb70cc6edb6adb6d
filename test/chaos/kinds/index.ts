import type { FaultKind } from '../kind.js';
import { BACKEND_KINDS } from './backends.js';
import { diskFull } from './disk-full.js';
import { LAKE_KINDS } from './lakes.js';
import { NETWORK_KINDS } from './network.js';
import { serialization } from './serialization.js';
import { SERVER_KINDS } from './servers.js';
import { SOURCE_KINDS } from './source.js';
import { OPERATOR_KINDS } from './operator.js';
import { PARKED_KINDS } from './parked.js';
import { RESET_KINDS } from './resets.js';
import { TEMPORAL_KINDS } from './temporal.js';
import { WORKER_KINDS } from './workers.js';
import { ZOMBIE_KINDS } from './zombies.js';

export const POSTGRES_KINDS: readonly FaultKind[] = [
  ...WORKER_KINDS,
  ...ZOMBIE_KINDS,
  ...TEMPORAL_KINDS,
  ...OPERATOR_KINDS,
  ...PARKED_KINDS,
  ...RESET_KINDS,
  ...NETWORK_KINDS,
  ...BACKEND_KINDS,
  ...SERVER_KINDS,
  diskFull,
  serialization,
  ...SOURCE_KINDS,
];

export const KINDS: readonly FaultKind[] = [...POSTGRES_KINDS, ...LAKE_KINDS];
