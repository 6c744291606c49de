import type { Fact } from './judge.js';
import type { MeterMouths } from './meter-mouths.js';
import { isNameless, numberOf, tokenOf, unitsOf, wordingOf, type Call } from './plan.js';

/**
 * Meters as they behave: each takes its tokens in order, books one once, says `used` the second time, and answers in the
 * wording of its make.
 */
export interface PlayedMeters {
  /** The vendor hands a token over; `fact` takes note of the answer. */
  take(call: Call, fact: { -readonly [F in keyof Fact]: Fact[F] }): void;
  /** Answers that are still to come. */
  readonly pending: number;
}

/** The same answer again comes at most so much later. */
const againMs = 300;
/** More than a timer may be late: answers leave in their order. */
const betweenMs = 50;
const refusals = ['expired', 'wrong_meter', 'failed'] as const;

export function playMeters(mouths: MeterMouths): PlayedMeters {
  /** When the last answer of a meter leaves: none overtakes it. */
  const busyUntil = new Map<number, number>();
  const booked = new Set<number>();
  let pending = 0;

  function later(ms: number, work: () => void): void {
    pending += 1;
    setTimeout(() => {
      pending -= 1;
      work();
    }, ms);
  }

  return {
    take(call, fact) {
      const { token, meter, course, delayMs } = call;
      const now = performance.now();
      const at = Math.max(course === 'before' ? now : now + delayMs, busyUntil.get(meter) ?? 0);
      busyUntil.set(meter, at + betweenMs);
      const topic = `meters/${numberOf(meter)}/token/response`;
      later(at - now, () => {
        const status = course === 'refused' ? refusals[token % 3] : booked.has(token) ? 'used' : 'success';
        if (status === 'success') booked.add(token);
        const payload = answerOf(call, status ?? 'failed');
        if (fact.answeredAt === null) {
          fact.answeredAt = performance.now();
          fact.said = status === 'success' ? 'success' : 'refusal';
        }
        mouths.say(meter, topic, payload);
        if (course !== 'twice') return;
        // Of one that says neither token nor message, a copy behind the next token cannot be told from its answer.
        later(isNameless(meter) ? 0 : token % againMs, () => {
          fact.againAt = performance.now();
          mouths.say(meter, topic, payload);
        });
      });
    },
    get pending() {
      return pending;
    },
  };
}

/** What a meter sends: [T-3]. */
export function answerOf({ token, meter }: Pick<Call, 'token' | 'meter'>, status: string): string {
  const number = numberOf(meter);
  const units = status === 'success' ? unitsOf(token) / 10_000 : 0;
  const wording = wordingOf(meter);
  const t = Math.floor(Date.now() / 1_000);
  if (wording === 'records')
    return JSON.stringify([
      { n: '1P-Energy-Meter', v: number, t },
      { n: 'injected-units', v: units, t },
      { n: 'credit-token-ack', v: status === 'success' ? 1 : 0, t },
      ...(status === 'success' ? [] : [{ n: 'status', v: status, t }]),
    ]);
  return JSON.stringify({
    meter_number: number,
    status,
    injected_units: units,
    ...(wording === 'with token' ? { credit_token: tokenOf(token) } : {}),
    ...(wording === 'with message' ? { message_id: messageIdOf(token) } : {}),
  });
}

/** As the vendor calls it in its 202. */
export function messageIdOf(token: number): string {
  return `msg-${token}`;
}
