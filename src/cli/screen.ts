import { isatty } from 'node:tty';
import pc from 'picocolors';
import { wrapText } from './format.js';

export type Colors = ReturnType<typeof pc.createColors>;

/** One of the two streams a command writes to. */
export interface Channel {
  /** A terminal that understands cursor movement. */
  readonly tty: boolean;
  readonly colors: Colors;
  /** Columns; 120 where there is no terminal. */
  readonly width: () => number;
  /** Lines; Infinity where there is no terminal. */
  readonly height: () => number;
  /** Writes `text` and a line end. */
  readonly line: (text?: string) => void;
  /** Writes sentences: on a terminal, lines are broken between words. */
  readonly prose: (text: string) => void;
  readonly stream: NodeJS.WriteStream;
}

/** Where a command writes: results on `out`, progress, notices and errors on `err`. */
export interface Screen {
  readonly out: Channel;
  readonly err: Channel;
}

const NO_TERMINAL_WIDTH = 120;

export function makeScreen(options: { color: boolean }, env: NodeJS.ProcessEnv = process.env): Screen {
  const wanted = options.color && !env.NO_COLOR;
  return { out: channel(process.stdout, wanted, env), err: channel(process.stderr, wanted, env) };
}

function channel(
  stream: NodeJS.WriteStream & { readonly fd: number },
  colorWanted: boolean,
  env: NodeJS.ProcessEnv,
): Channel {
  // Not stream.isTTY, which is undefined where there is no terminal: picocolors takes that for "find out yourself", and
  // under CI means colors in a pipe.
  const tty = isatty(stream.fd) && env.TERM !== 'dumb';
  const line = (text = '') => void stream.write(`${text}\n`);
  return {
    tty,
    stream,
    line,
    prose: (text) => line(tty ? wrapText(text, stream.columns) : text),
    colors: pc.createColors(colorWanted && tty),
    width: () => (tty ? stream.columns : NO_TERMINAL_WIDTH),
    height: () => (tty ? stream.rows : Infinity),
  };
}
