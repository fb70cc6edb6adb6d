import { MultiBar, type SingleBar } from 'cli-progress';
import { parkedCount } from '../../../workflows/messages.js';
import { formatCompact, formatCount, formatTimeLeft, plural, shortenName, shortenText, wrapText } from '../format.js';
import type { Channel } from '../screen.js';
import type { Observer } from './follow.js';
import { summaryLine, tableNews } from './lines.js';
import { Pace } from './pace.js';
import { paintPhase, plainPhaseLabel } from './phases.js';
import { fractionDone, hasEnded, isRunning, rowsSeen, type JobView, type TableView } from './view.js';

/** Lines of the terminal that bars leave free: for the summary, the rest line and the prompt above. */
const LINES_LEFT_FREE = 4;

const CLEAR_TO_END = '\u001b[K';

const NAME_WIDTH = { least: 8, most: 32 };

/**
 * Progress on a terminal: a bar for each running table, never more than fit, and a summary below. What has happened is
 * written above and scrolls away as usual.
 */
export class BarObserver implements Observer {
  readonly #pace = new Pace();
  readonly #multi: MultiBar;
  readonly #rows: SingleBar[] = [];
  #before = new Map<string, TableView>();

  constructor(private readonly channel: Channel) {
    this.#multi = new MultiBar({
      stream: channel.stream,
      format: (_options, _params, payload: { text?: string }) => payload.text ?? '',
      // A line written above moves every bar down, also those whose text stays.
      forceRedraw: true,
      hideCursor: true,
      clearOnComplete: true,
      fps: 5,
    });
  }

  look(view: JobView): void {
    this.#pace.record(view);
    for (const table of view.tables) this.#tell(table, view.at);
    this.#before = new Map(view.tables.map((table) => [table.table, table]));
    this.#draw(screenRows(view, this.#pace, this.channel));
  }

  notice(text: string): void {
    if (this.#rows.length === 0) {
      this.channel.prose(text);
      return;
    }
    // Over whatever bars stood there; in the last column, clearing would take the last character.
    const lines = wrapText(text, this.channel.width() - 1).split('\n');
    for (const line of lines) this.#multi.log(`${line}${CLEAR_TO_END}\n`);
  }

  /** Takes the bars off and gives the cursor back. What was said in the meantime stays. */
  end(): void {
    if (this.#rows.length === 0) return;
    this.#multi.update();
    this.#multi.stop();
  }

  /** The bars show what runs; only ends and trouble are worth a lasting line. */
  #tell(table: TableView, at: number): void {
    const before = this.#before.get(table.table);
    const news = tableNews(before, table, at);
    const lasting = hasEnded(table) || table.phase.startsWith('waiting') || table.parked.length + table.skipped > 0;
    if (lasting) for (const line of news) this.notice(paintPhase(table, this.channel.colors, line));
  }

  #draw(texts: readonly string[]): void {
    while (this.#rows.length < texts.length) this.#rows.push(this.#multi.create(1, 0, {}));
    while (this.#rows.length > texts.length) this.#multi.remove(this.#rows.pop()!);
    texts.forEach((text, index) => this.#rows[index]!.update({ text }));
  }
}

/** Every line of the moving part, top to bottom, each at most as wide as the terminal. */
export function screenRows(view: JobView, pace: Pace, channel: Pick<Channel, 'width' | 'height' | 'colors'>): string[] {
  const active = view.tables.filter((table) => isRunning(table) || table.phase === 'waiting on parked');
  const room = Math.max(1, Math.min(active.length, channel.height() - LINES_LEFT_FREE));
  const shown = active.slice(0, room);
  const names = shown.map(({ table }) => table.length);
  const nameWidth = Math.min(NAME_WIDTH.most, Math.floor(channel.width() / 4), Math.max(NAME_WIDTH.least, ...names));
  const rows = shown.map((table) => tableRow(table, pace, channel, nameWidth));
  const more = active.length - shown.length;
  const queued = view.tables.filter(({ phase }) => phase === 'queued').length;
  const rest = [...(more > 0 ? [`${more} more running`] : []), ...(queued > 0 ? [`${queued} queued`] : [])];
  const summary = [summaryLine(view, pace), ...rest].join(' · ');
  return [...rows, channel.colors.dim(shortenText(summary, channel.width() - 1))];
}

function tableRow(
  table: TableView,
  pace: Pace,
  { width, colors }: Pick<Channel, 'width' | 'colors'>,
  nameWidth: number,
): string {
  const label = plainPhaseLabel(table).padEnd('▸ publishing'.length);
  const name = shortenName(table.table, nameWidth).padEnd(nameWidth);
  const room = width() - 1 - label.length - name.length - 2;
  const rest = table.phase === 'copying' ? copyingText(table, pace, room) : shortenText(elsewhere(table), room);
  return `${paintPhase(table, colors, label)} ${name} ${rest}`;
}

function elsewhere(table: TableView): string {
  if (table.phase === 'waiting on parked') return plural(parkedCount(table), 'parked partition');
  return table.note ?? '';
}

const BAR = { least: 8, most: 40 };

/** `██████░░░░  54%  1.62M rows  184K rows/s  12 s left  54/100 partitions, 1 retry`, as much of it as there is room for. */
function copyingText(table: TableView, pace: Pace, room: number): string {
  const facts = copyingFacts(table, pace);
  const shown: string[] = [];
  let used = BAR.least;
  for (const fact of facts) {
    if (used + 2 + fact.length > room) break;
    shown.push(fact);
    used += 2 + fact.length;
  }
  const barWidth = Math.max(0, Math.min(BAR.most, BAR.least + room - used));
  return [drawBar(fractionDone(table) ?? 0, barWidth), ...shown].join('  ');
}

/** The most wanted first; fixed widths keep the line from dancing. */
function copyingFacts(table: TableView, pace: Pace): string[] {
  const fraction = fractionDone(table);
  const rate = pace.rate(table.table);
  const left = pace.timeLeft([table]);
  const { committed, partitions, running, retries, parked, skipped, quarantined = 0 } = table;
  return [
    (fraction === undefined ? '' : `${Math.floor(fraction * 100)}%`).padStart(4),
    `${formatCompact(rate ?? 0)} rows/s`.padStart(12),
    (left === undefined || fraction === 1 ? '' : `${formatTimeLeft(left)} left`).padStart(14),
    `${formatCompact(rowsSeen(table))} rows`.padStart(10),
    (partitions === undefined ? '' : `${formatCount(committed)}/${formatCount(partitions)} partitions`).padEnd(21),
    [
      `${formatCount(running)} running`,
      ...(retries > 0 ? [plural(retries, 'retry', 'retries')] : []),
      ...(parked.length > 0 ? [`${formatCount(parkedCount(table))} parked`] : []),
      ...(skipped > 0 ? [`${formatCount(skipped)} skipped`] : []),
      ...(quarantined > 0 ? [plural(quarantined, 'reject')] : []),
    ]
      .join(', ')
      .padEnd(20),
  ];
}

export function drawBar(fraction: number, width: number): string {
  const full = Math.round(fraction * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}
