import { DomainError } from '../errors.js';
import { startForwarder, type Forwarder, type ThreadSettings } from './forwarder.js';

interface Running {
  readonly key: string;
  readonly forwarder: Forwarder;
  isUsed: boolean;
  /** Runs while nobody uses it. */
  linger: NodeJS.Timeout | null;
}

/** The forwarder of this process. It outlives its node, so that what is accepted during a Deploy is forwarded, too. */
let running: Running | null = null;

/**
 * The forwarder with these settings: the one from before a Deploy, or a new one.
 * @throws DomainError CONFIGURATION when another node forwards already: each message would be there twice
 */
export function acquireForwarder(settings: ThreadSettings): Forwarder {
  const key = JSON.stringify(settings);
  if (running?.isUsed === true)
    throw new DomainError('CONFIGURATION', 'Another nats-forward node of this process forwards already.');
  const before = running;
  if (before?.linger != null) clearTimeout(before.linger);
  if (before !== null && before.key === key) {
    before.linger = null;
    before.isUsed = true;
    return before.forwarder;
  }
  running = { key, forwarder: startForwarder(settings), isUsed: true, linger: null };
  // What is still settled goes to the new one's journal: there is no moment without.
  void before?.forwarder.close();
  return running.forwarder;
}

/** Without another acquire within `lingerMs` messages are not kept for NATS any more. */
export function releaseForwarder(forwarder: Forwarder, { lingerMs = 10_000 } = {}): void {
  if (running?.forwarder !== forwarder) return;
  forwarder.listen(null);
  running.isUsed = false;
  running.linger = setTimeout(() => void closeForwarder(), lingerMs);
}

/** For the end of the process, after the broker: what that still settles is in the journal. */
export async function closeForwarder(): Promise<void> {
  const ending = running;
  running = null;
  if (ending === null) return;
  if (ending.linger !== null) clearTimeout(ending.linger);
  await ending.forwarder.close();
}
