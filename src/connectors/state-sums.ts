import type { StateSums, TableOverview } from './types.js';

/** What the tables of a run add up to, by their state. */
export function sumsByState(tables: readonly Omit<TableOverview, 'spec'>[]): StateSums[] {
  return [...new Set(tables.map(({ state }) => state))].map((state) => {
    const those = tables.filter((table) => table.state === state);
    const sum = (of: (table: (typeof those)[number]) => number) => those.reduce((total, table) => total + of(table), 0);
    const since = those.filter(({ staging }) => staging !== undefined).map(({ changedAt }) => changedAt);
    return {
      ...{ state, tables: those.length, rows: sum(({ rows }) => rows), skipped: sum(({ skipped }) => skipped) },
      ...someQuarantined(sum(({ quarantined = 0 }) => quarantined)),
      stagingBytes: sum(({ staging }) => staging?.bytes ?? 0),
      changedAt: those
        .map(({ changedAt }) => changedAt)
        .sort()
        .at(-1)!,
      ...(since.length > 0 && { stagedSince: since.sort()[0]! }),
    };
  });
}

/** Absent: none. */
export function someQuarantined(quarantined: number): { quarantined?: number } {
  return quarantined === 0 ? {} : { quarantined };
}
