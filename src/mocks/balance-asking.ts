/**
 * When a meter asks for its balance ([M-5]): at every connect until a command comes, and once more after a command that
 * came while reports were between meter and ledger. Nobody can tell whether its balance counts those; asked again when
 * all are acknowledged, the ledger's answer does. Nor can anybody tell an answer from another command that set out
 * earlier, so that the last word is one that came long enough after the last acknowledgement.
 */
export interface BalanceAsking {
  connected(now: number): void;
  /** A report was acknowledged: the ledger has it. */
  acknowledged(now: number): void;
  /** A command was taken while so many reports were sent and not acknowledged. */
  taken(now: number, unsure: number): void;
  /** True: ask now. It counts as asked. */
  isDue(now: number, unsure: number): boolean;
}

/** A command may have been on its way for as long when it arrives. */
const travelMs = 5_000;
/** Between two commands that were both taken in the middle of a report. */
const againMs = 1_000;
const pauseMinMs = 10_000;
const pauseMaxMs = 5 * 60_000;

export function createBalanceAsking(): BalanceAsking {
  let wanted: 'no' | 'at once' | 'when settled' = 'no';
  let askAt = 0;
  let pauseMs = pauseMinMs;
  let askedAt = -Infinity;
  let acknowledgedAt = -Infinity;
  let isAcknowledgedSinceAsked = false;
  return {
    connected(now) {
      wanted = 'at once';
      askAt = now;
      pauseMs = pauseMinMs;
    },
    acknowledged(now) {
      acknowledgedAt = now;
      isAcknowledgedSinceAsked = true;
    },
    taken(now, unsure) {
      const isRecent = now - acknowledgedAt < travelMs;
      wanted = unsure > 0 || isRecent ? 'when settled' : 'no';
      // Asked already: this may be the answer. If it was not, the next one is.
      const patientAt = unsure > 0 || isAcknowledgedSinceAsked ? now : acknowledgedAt + travelMs;
      askAt = Math.max(patientAt, askedAt + againMs);
      pauseMs = pauseMinMs;
    },
    isDue(now, unsure) {
      if (wanted === 'no' || now < askAt || (wanted === 'when settled' && unsure > 0)) return false;
      askedAt = now;
      isAcknowledgedSinceAsked = false;
      askAt = now + pauseMs;
      pauseMs = Math.min(pauseMs * 2, pauseMaxMs);
      return true;
    },
  };
}
