import { drawn } from './seeded.js';

/** Of all messages between meter and broker: parts from 0 to 1. */
export interface MishapRates {
  readonly lost: number;
  readonly doubled: number;
}

export type Fate = 'arrives' | 'lost' | 'doubled';

/** What becomes of one message after the other: the same for the same seed and meter. */
export function fatesOf(seed: number, meterId: string, { lost, doubled }: MishapRates): () => Fate {
  let message = 0;
  return () => {
    message += 1;
    const draw = drawn(seed, meterId, `message ${message}`);
    if (draw < lost) return 'lost';
    return draw < lost + doubled ? 'doubled' : 'arrives';
  };
}
