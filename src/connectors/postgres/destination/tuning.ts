/** Waits of publishing, in milliseconds. */
export interface PublishTuning {
  /** How long readers with an older view are waited for. */
  readonly publishWait: number;
  /** How long one try waits for the target's lock, while new readers queue behind it. */
  readonly lockWait: number;
  /** The longest pause between two tries; the first is a tenth of it. */
  readonly longestPause: number;
}

export const PUBLISH_TUNING: PublishTuning = { publishWait: 5 * 60_000, lockWait: 2_000, longestPause: 10_000 };
