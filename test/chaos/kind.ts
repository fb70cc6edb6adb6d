import type { Lake } from './lakes.js';
import type { Scene, Shape } from './scene.js';

/** A way in which something goes wrong. */
export interface FaultKind {
  /** For `--kinds` and the table: lower case, words joined by `-`. */
  readonly name: string;
  /** What is done, in a line. */
  readonly about: string;
  /** Why it can't be done on this machine; nothing when it can. */
  unavailable?(): Promise<string | undefined>;
  /** It strikes `scene.times` times: more often in a run that asks for more faults a job. */
  readonly repeats?: true;
  /** Its jobs go to one of these, chosen by chance. Absent: to Postgres. */
  readonly into?: readonly Lake[];
  /** What its jobs are like, where that may not be left to chance. */
  readonly shape?: Partial<Shape>;
  /**
   * Starts the scene's job and strikes: `scene.struck()` for each fault that was shown to have hit what it was aimed at. When it
   * resolves, the last started job goes on to its end by itself: servers answer, workers run, and nothing is in the way.
   */
  run(scene: Scene): Promise<void>;
  /** Ends what the kind has started and the scene doesn't know of; called also when `run` has failed. */
  cleanUp?(scene: Scene): Promise<void>;
}
