import type { JobPhase, TablePhase, TableProgress } from '../../../workflows/messages.js';
import type { Colors } from '../screen.js';

type Paint = (colors: Colors) => (text: string) => string;

/** A symbol for the eye, a word for everybody: never one without the other. */
const LOOK: Record<TablePhase, { symbol: string; word: string; paint: Paint }> = {
  queued: { symbol: '·', word: 'queued', paint: (c) => c.dim },
  preparing: { symbol: '▸', word: 'preparing', paint: (c) => c.cyan },
  copying: { symbol: '▸', word: 'copying', paint: (c) => c.cyan },
  'waiting for connection': { symbol: '‖', word: 'waiting for connection', paint: (c) => c.yellow },
  'waiting on parked': { symbol: '‖', word: 'waiting on parked', paint: (c) => c.yellow },
  building: { symbol: '▸', word: 'building', paint: (c) => c.cyan },
  verifying: { symbol: '▸', word: 'verifying', paint: (c) => c.cyan },
  publishing: { symbol: '▸', word: 'publishing', paint: (c) => c.cyan },
  published: { symbol: '✔', word: 'published', paint: (c) => c.green },
  failed: { symbol: '✖', word: 'failed', paint: (c) => c.red },
  cancelled: { symbol: '■', word: 'cancelled', paint: (c) => c.yellow },
};

/** `✔ published`, coloured. */
export function phaseLabel({ phase }: Pick<TableProgress, 'phase'>, colors: Colors): string {
  const { symbol, word, paint } = LOOK[phase];
  return paint(colors)(`${symbol} ${word}`);
}

/** The same length as `phaseLabel` shows, without colour. */
export function plainPhaseLabel({ phase }: Pick<TableProgress, 'phase'>): string {
  return `${LOOK[phase].symbol} ${LOOK[phase].word}`;
}

export function paintPhase({ phase }: Pick<TableProgress, 'phase'>, colors: Colors, text: string): string {
  return LOOK[phase].paint(colors)(text);
}

const JOB_LOOK: Record<JobPhase, { symbol: string; paint: Paint }> = {
  checking: { symbol: '▸', paint: (c) => c.cyan },
  copying: { symbol: '▸', paint: (c) => c.cyan },
  'waiting on parked': { symbol: '‖', paint: (c) => c.yellow },
  complete: { symbol: '✔', paint: (c) => c.green },
  'complete with rejects': { symbol: '!', paint: (c) => c.yellow },
  'complete with skips': { symbol: '!', paint: (c) => c.yellow },
  failed: { symbol: '✖', paint: (c) => c.red },
  cancelled: { symbol: '■', paint: (c) => c.yellow },
};

/** `✔ complete`, coloured. */
export function jobPhaseLabel(phase: JobPhase, colors: Colors): string {
  const { symbol, paint } = JOB_LOOK[phase];
  return paint(colors)(`${symbol} ${phase}`);
}
