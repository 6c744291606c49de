import { isOf, type Verdict } from './judge.js';
import type { Notice } from './notice.js';

interface Judged {
  readonly notice: Notice;
  readonly verdict: Verdict;
}

/**
 * Notices of one transaction are judged by what was known before it, so none has seen another. Those that should have
 * are put off, and judged again in a moment: who names a prompt or claims a payment that an earlier one has taken, and
 * the bill of a prompt that is credited here because the provider was asked (they share no receipt).
 */
export function keepApart<T extends Judged>(group: readonly T[]): T[] {
  const taken = new Set<string>();
  return group.map((one) => {
    const claims = claimsOf(one.verdict);
    const isTaken = claims.some((claim) => taken.has(claim)) || isAskedForBy(group, one);
    if (isTaken) return { ...one, verdict: { outcome: 'early' } };
    for (const claim of claims) taken.add(claim);
    return one;
  });
}

function claimsOf(verdict: Verdict): string[] {
  const prompt = 'prompt' in verdict && verdict.outcome !== 'disputed' ? verdict.prompt : undefined;
  if (prompt === undefined) return [];
  const known = verdict.outcome === 'duplicate' ? verdict.known : undefined;
  return [`prompt ${prompt.id}`, ...(known === undefined ? [] : [`payment ${known.id}`])];
}

function isAskedForBy(group: readonly Judged[], { notice, verdict }: Judged): boolean {
  if (notice.channel !== 'c2b' || verdict.outcome !== 'accepted') return false;
  return group.some(
    ({ verdict: other }) =>
      other.outcome === 'accepted' &&
      other.prompt !== undefined &&
      other.meter_id === verdict.meter_id &&
      isOf(other.prompt, notice),
  );
}
