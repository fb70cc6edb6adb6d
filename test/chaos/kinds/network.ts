import type { FaultKind } from '../kind.js';

/** What happens between a worker and its servers. */

const commitAnswerLost: FaultKind = {
  name: 'commit-answer-lost',
  about: "the destination's COMMIT takes effect, and the connection is gone before its answer arrives",
  async run(scene) {
    const { proxy } = scene.stack.destination;
    await scene.start();
    for (let losses = scene.random.int(2, 4); losses > 0; losses--) {
      let lost = false;
      void proxy.loseCommitAnswer().then(() => (lost = true));
      if (!(await scene.until(() => lost))) break;
      scene.struck();
    }
    proxy.disarm();
  },
};

export const NETWORK_KINDS: readonly FaultKind[] = [commitAnswerLost];
