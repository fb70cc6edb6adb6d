/** Bytes of a partition when nothing is said: some seconds of work, so a crash repeats little and every slot finds work. */
export const DEFAULT_PARTITION_SIZE = 256 * 1024 * 1024;
