import { stripVTControlCharacters } from 'node:util';
import bytes from 'bytes';

/** Numbers, sizes, durations and names as people read them. Pure. */

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** `1,234,567` */
export function formatCount(count: number): string {
  return GROUPED.format(count);
}

/** `1.23M`: for bars, where a column must stay narrow. */
export function formatCompact(count: number): string {
  return COMPACT.format(count);
}

/** `1.4 GB`, in the same units (1 KB = 1024 bytes) as sizes in a job file. */
export function formatBytes(size: number): string {
  const digits = size < 1024 ? 0 : 1;
  return bytes.format(size, { unitSeparator: ' ', decimalPlaces: digits, fixedDecimals: true }) ?? `${size} B`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds as `0.8 s`, `12 s`, `3 min 05 s`, `2 h 14 min`, `1 d 3 h`: two units at most. */
export function formatDuration(milliseconds: number): string {
  const time = Math.max(0, milliseconds);
  if (time < 9_950) return `${(time / SECOND).toFixed(1)} s`;
  const seconds = Math.round(time / SECOND) * SECOND;
  if (seconds < MINUTE) return `${seconds / SECOND} s`;
  if (seconds < HOUR) return twoUnits(seconds, MINUTE, 'min', SECOND, 's');
  const minutes = Math.round(seconds / MINUTE) * MINUTE;
  if (minutes < DAY) return twoUnits(minutes, HOUR, 'h', MINUTE, 'min');
  return twoUnits(Math.round(minutes / HOUR) * HOUR, DAY, 'd', HOUR, 'h');
}

/** Milliseconds as `43 s`, `1:04 min`, `2:14 h`, `1 d 3 h`: for bars, where a column must stay narrow. */
export function formatTimeLeft(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / SECOND);
  if (seconds < 60) return `${seconds} s`;
  const two = (part: number) => String(part).padStart(2, '0');
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
  return formatDuration(milliseconds);
}

function twoUnits(time: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((time % large) / small);
  const padded = smallName === 'h' ? String(rest) : String(rest).padStart(2, '0');
  return `${Math.floor(time / large)} ${largeName} ${padded} ${smallName}`;
}

/** Rows a second over a time in milliseconds; undefined when the time is too short to say. */
export function rateOf(rows: number, milliseconds: number): number | undefined {
  return milliseconds >= 1 ? (rows / milliseconds) * SECOND : undefined;
}

/** `3 partitions`, `1 partition`; irregular plurals are given. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : nouns}`;
}

/** The end of a name matters most (`…orders_2024_archive`), so a long one loses its beginning. */
export function shortenName(name: string, width: number): string {
  return name.length <= width ? name : `…${name.slice(name.length - width + 1)}`;
}

/** At most `width` characters on one line. */
export function shortenText(text: string, width: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/** `14:03:05`, local time. */
export function formatClock(at: Date): string {
  return at.toTimeString().slice(0, 8);
}

/** `2026-03-01 14:03`, local time. */
export function formatMoment(at: Date): string {
  const two = (part: number) => String(part).padStart(2, '0');
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-');
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Columns that a text takes on a terminal. */
export function shownLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Breaks lines that are longer than `width` between words; what follows is indented as far as its line was. */
export function wrapText(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, width))
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  if (shownLength(line) <= width) return line;
  const indent = /^ */.exec(line)![0];
  const lines: string[] = [];
  let current = '';
  for (const word of line.slice(indent.length).split(' ')) {
    const next = current === '' ? `${indent}${word}` : `${current} ${word}`;
    if (current !== '' && shownLength(next) > width) {
      lines.push(current.trimEnd());
      current = `${indent}${word}`;
    } else current = next;
  }
  return [...lines, current].join('\n');
}
