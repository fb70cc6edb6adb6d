import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { BarObserver } from '../../src/cli/follow/bars.js';
import type { JobView, TableView } from '../../src/cli/follow/view.js';
import type { Channel } from '../../src/cli/screen.js';

/** A terminal of 60 columns that keeps what is written to it. */
function terminal(): { channel: Channel; written: () => string } {
  let written = '';
  const write = (chunk: unknown, _: unknown, done: () => void) => {
    written += String(chunk);
    done();
  };
  const stream = Object.assign(new Writable({ write }), { isTTY: true, columns: 60, rows: 20 });
  const line = (text = '') => void stream.write(`${text}\n`);
  const channel: Channel = {
    ...{ tty: true, colors: pc.createColors(false), width: () => 60, height: () => 20, line, prose: line },
    stream: stream as unknown as NodeJS.WriteStream,
  };
  return { channel, written: () => written };
}

function looked(over: Partial<TableView>): JobView {
  const startedAt = '2026-01-01T00:00:00.000Z';
  const table: TableView = {
    ...{ table: 'public.orders', to: 'dw.orders', mode: 'replace', phase: 'copying', partitions: 4, committed: 2 },
    ...{ running: 1, rows: 500, bytes: 5_000, retries: 0, skipped: 0, parked: [], slots: 1 },
    ...{ startedAt, inFlight: { rows: 0, bytes: 0 } },
    ...over,
  };
  const job = {
    run: 'r',
    name: 'n',
    phase: 'copying',
    parallelism: 1,
    tables: [table],
    warnings: [],
    startedAt,
  } as const;
  return { job, tables: [table], at: Date.parse(startedAt) + 2_000 };
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const WRAP_ON = '\u001b[?7h';

test('the bars go at the end, what was said stays whole, and the terminal is as it was', () => {
  const { channel, written } = terminal();
  const bars = new BarObserver(channel);
  const error = 'a value of the column that holds the remarks of customers was refused by the destination';
  bars.look(looked({}));
  bars.look(looked({ parked: [{ ordinal: 2, label: '3/4', code: 'DataRejected', error }] }));
  bars.end();
  const text = written();
  expect(text).toContain(HIDE_CURSOR);
  expect(text.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(text.lastIndexOf(HIDE_CURSOR));
  expect(text).toContain(WRAP_ON);
  const said = stripVTControlCharacters(text);
  expect(said).toMatch(/▸ copying +public\.orders +█+░+ +50%/);
  expect(said.replace(/\s+/g, ' ')).toContain(`‖ parked public.orders 3/4: DataRejected: ${error}`);
});

test('nothing is left of bars that never were', () => {
  const { channel, written } = terminal();
  const bars = new BarObserver(channel);
  bars.notice('No worker answers.');
  bars.end();
  expect(written()).toBe('No worker answers.\n');
});
