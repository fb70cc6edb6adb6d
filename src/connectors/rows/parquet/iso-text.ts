/** Dates and times as Postgres writes them in ISO style: exact, also beyond the year 9999 and before Christ. */

const MICROS_A_DAY = 86_400_000_000n;

export function dateText(daysSince1970: number): string {
  const { date, suffix } = dateParts(daysSince1970);
  return date + suffix;
}

/** `zone`: of the time, `+00` or nothing. */
export function timestampText(microsSince1970: bigint, zone: string): string {
  const before = microsSince1970 % MICROS_A_DAY < 0n ? 1n : 0n;
  const days = microsSince1970 / MICROS_A_DAY - before;
  const { date, suffix } = dateParts(Number(days));
  return `${date} ${timeText(microsSince1970 - days * MICROS_A_DAY)}${zone}${suffix}`;
}

export function timeText(microsOfDay: bigint): string {
  const seconds = Number(microsOfDay / 1_000_000n);
  const fraction = (microsOfDay % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '');
  const time = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(twoDigits).join(':');
  return fraction === '' ? time : `${time}.${fraction}`;
}

function dateParts(days: number) {
  const { year, month, day } = civil(days);
  const shown = year > 0 ? year : 1 - year;
  return {
    date: `${shown.toString().padStart(4, '0')}-${twoDigits(month)}-${twoDigits(day)}`,
    suffix: year > 0 ? '' : ' BC',
  };
}

function twoDigits(value: number): string {
  return value.toString().padStart(2, '0');
}

/**
 * The Gregorian date, also before there was a Gregorian calendar; year 0 is 1 BC. A `Date` ends in the year 275760.
 * https://howardhinnant.github.io/date_algorithms.html#civil_from_days
 */
function civil(days: number) {
  const shifted = days + 719_468; // since 0000-03-01
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const day = dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}
