import { randomUUID } from 'node:crypto';
import { changeOf } from '../cache/change.js';
import { changesOf } from '../cache/changes.js';
import { untilCommitted, type Database } from '../database/database.js';
import { startOutboxLoop, within } from '../database/outbox-loop.js';
import { metrics } from '../operation/metrics.js';
import type { Minted } from './mint-request.js';
import {
  claimRequests,
  countWaiting,
  endMinted,
  endUnminted,
  markTold,
  mintedOf,
  putOff,
  type ClaimedRequest,
} from './relay-store.js';
import type { MintingService, ServiceAnswer } from './service.js';

/** A request that ended without a mint. */
export interface Unminted {
  readonly request_id: string;
  readonly reading_id: number;
  readonly meter_id: string;
  readonly state: 'refused' | 'abandoned';
  readonly reason: string;
}

export interface MintRelayOptions {
  /** Names this process in the outbox. */
  readonly instance: string;
  /** Between attempts: doubled each time, from the first to the most. */
  readonly backoff: { readonly firstMs: number; readonly mostMs: number };
  /** For how long nobody else takes a request: longer than the service is waited for, twice. */
  readonly claimSeconds: number;
  /** Requests under way at a time. */
  readonly inflightMax?: number;
  /** After the commit, at least once. */
  readonly onMinted: (minted: Minted) => void;
  readonly onUnminted?: (unminted: Unminted) => void;
  /** Why nothing gets minted at the moment, for people; null: it does again. */
  readonly onState?: (reason: string | null) => void;
}

export interface MintRelay {
  /** Requests without an end, as counted last. */
  readonly waiting: number;
  /** Looks for requests now; it does so by itself when the database says that there are any. */
  wake(): void;
  /** Begins nothing new until `resume`. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

const countMs = 2_000;
const closeMs = 1_500;

type Claimed = ClaimedRequest & { readonly claim: string };

/**
 * Hands readings to the minting service, any number of relays side by side: each request is taken by one, and its claim
 * runs out when that one dies. A request that the service may have is asked for by its key before it is sent again, and
 * always under the same key; so neither a lost answer nor a killed process mints twice.
 */
export function startMintRelay(
  database: Database,
  service: MintingService,
  options: MintRelayOptions,
): MintRelay {
  const { instance, backoff, claimSeconds, inflightMax = 8 } = options;
  const { onMinted, onUnminted = () => {}, onState = () => {} } = options;
  const underWay = new Set<Promise<void>>();
  const loop = startOutboxLoop(database, { channel: 'mint_requests_changed', drain, onState });
  let waiting = 0;

  async function drain(): Promise<void> {
    while (loop.mayWork()) {
      while (underWay.size >= inflightMax) await Promise.race(underWay);
      const most = inflightMax - underWay.size;
      const claim = `${instance}/${randomUUID()}`;
      const claimed = await claimRequests(database, { most, claim, seconds: claimSeconds });
      for (const request of claimed) {
        const work: Promise<void> = bring({ ...request, claim })
          // What could not be written down is in doubt, and free again when its claim has run out.
          .catch(loop.showError)
          .finally(() => underWay.delete(work));
        underWay.add(work);
      }
      if (claimed.length < most) return;
    }
  }

  async function bring(request: Claimed): Promise<void> {
    if (request.state !== 'waiting') return tell(request);
    let answer: ServiceAnswer = request.was_in_doubt
      ? await service.ask(request.idempotency_key)
      : { outcome: 'absent' };
    let inDoubt = answer.outcome !== 'absent' && answer.outcome !== 'refused';
    if (answer.outcome === 'absent' && !request.is_past_deadline && !loop.stopping.aborted) {
      answer = await service.mint(request);
      inDoubt = answer.outcome === 'trouble' || answer.outcome === 'pending';
    }
    await writeDown(request, answer, inDoubt);
  }

  async function writeDown(request: Claimed, answer: ServiceAnswer, inDoubt: boolean): Promise<void> {
    if (answer.outcome === 'minted') return succeed(request, answer.txSignature);
    if (answer.outcome === 'refused')
      return fail(request, { state: 'refused', reason: answer.reason, inDoubt });
    const reason = answer.outcome === 'absent' ? 'Meterflow stopped before it was sent.' : answer.reason;
    loop.show(answer.outcome === 'pending' ? null : reason);
    if (request.is_past_deadline) return fail(request, { state: 'abandoned', reason, inDoubt });
    metrics.mintRequests.inc({ outcome: 'put off' });
    await kept(() => putOff(database, request, { reason, inDoubt, afterMs: pauseMs(request.attempts) }));
  }

  async function succeed(request: Claimed, txSignature: string): Promise<void> {
    const { isNew, tookSeconds } = await kept(() => endMinted(database, request, txSignature));
    changesOf(database).noticed(changeOf([request]));
    loop.show(null);
    if (!isNew) return;
    metrics.mintRequests.inc({ outcome: 'minted' });
    metrics.mintSeconds.observe(tookSeconds);
    await tell({ ...request, state: 'minted', tx_signature: txSignature });
  }

  async function fail(
    request: Claimed,
    end: { readonly state: 'refused' | 'abandoned'; readonly reason: string; readonly inDoubt: boolean },
  ): Promise<void> {
    if (!(await kept(() => endUnminted(database, request, end)))) return;
    metrics.mintRequests.inc({ outcome: end.state });
    await tell({ ...request, ...end });
  }

  /** Through an output first: who dies in between tells it again. */
  async function tell(request: ClaimedRequest): Promise<void> {
    // A flow that is being changed hears of it afterwards.
    if (loop.isPaused) return;
    const { id, state: end, tx_signature, reading_id, meter_id, reason } = request;
    if (end === 'minted') onMinted(mintedOf(request, tx_signature ?? ''));
    else if (end !== 'waiting')
      onUnminted({ request_id: id, reading_id, meter_id, state: end, reason: reason ?? '' });
    await markTold(database, id);
  }

  /** As long as the database is away, or until the claim has run out: then the service is asked. */
  function kept<T>(work: () => Promise<T>): Promise<T> {
    const signal = AbortSignal.any([loop.stopping, AbortSignal.timeout(claimSeconds * 1000)]);
    return untilCommitted(database, work, { signal, onHold: loop.show });
  }

  /** Half of it by chance, so that a thousand do not come back at once. */
  function pauseMs(attempts: number): number {
    const full = Math.min(backoff.mostMs, backoff.firstMs * 2 ** Math.min(attempts - 1, 30));
    return full * (0.5 + Math.random() / 2);
  }

  async function count(): Promise<void> {
    waiting = await countWaiting(database);
    metrics.mintRequestsWaiting.set(waiting);
  }

  loop.wake();
  loop.every(countMs, count);

  return {
    get waiting() {
      return waiting;
    },
    wake: loop.wake,
    pause: loop.pause,
    resume: loop.resume,
    async close() {
      await loop.stop();
      await within(closeMs, [loop.running, ...underWay]);
      // What the service has not answered by now is in doubt; whoever comes next asks.
      service.close();
      await within(closeMs, [loop.running, ...underWay]);
    },
  };
}
