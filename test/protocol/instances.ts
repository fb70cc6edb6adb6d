import type { Instance } from './model.js';

/** Small, and together they have everything in them that may go wrong. Each is walked to its end. */
export const INSTANCES = {
  copying: { name: 'copying', chances: { zombies: 2, resets: 1 } },
  crashing: { name: 'crashing', chances: { zombies: 1, crashes: 2, 'lost answers': 2 } },
  reading: { name: 'reading', chances: { zombies: 1, resets: 1, readers: 1 } },
  skipping: { name: 'skipping', chances: { zombies: 2, skips: 1, readers: 1 } },
  discarding: { name: 'discarding', chances: { zombies: 2, discards: 1, 'lost answers': 1 } },
  resuming: { name: 'resuming', chances: { zombies: 1, cancels: 1, resumes: 1, cleans: 1 } },
  gone: { name: 'gone', chances: { zombies: 1, terminations: 1, resumes: 1, cleans: 1 } },
  'starting over': {
    name: 'starting over',
    underSnapshot: true,
    chances: { zombies: 1, 'lost snapshots': 1, 'other statistics': 1, 'lost answers': 1 },
  },
  planning: { name: 'planning', chances: { zombies: 1, 'other statistics': 1, resets: 1 } },
  servers: { name: 'servers', chances: { zombies: 1, restarts: 1, failovers: 1 } },
  visible: { name: 'visible', visible: true, chances: { zombies: 2, cancels: 1, resumes: 1 } },
} as const satisfies Record<string, Instance>;
