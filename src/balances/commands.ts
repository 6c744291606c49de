import type { Database } from '../database/database.js';
import { startOutboxLoop, within } from '../database/outbox-loop.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import {
  claimCommands,
  countOpen,
  forgetOldCommands,
  putBack,
  releaseAll,
  releaseCommands,
  selectConfirmed,
  type Backoff,
  type ClaimedCommand,
  type ConfirmedCommand,
} from './command-store.js';
import { commandTopic } from './meter-messages.js';

export type { ConfirmedCommand } from './command-store.js';

/** A command that the broker has taken. Units as numbers. */
export interface SentCommand {
  readonly meter_id: string;
  readonly topic: string;
  readonly balance: number;
  readonly timestamp: number;
  readonly reason: string;
  /** 1: the first time. */
  readonly attempts: number;
  readonly wanted_at: Date;
}

export interface RelayOptions {
  /** Names this process in the outbox. */
  readonly instance: string;
  /** Between attempts until the meter confirms: doubled each time, from the first to the most. */
  readonly backoff?: Partial<Backoff>;
  /** Publications under way at a time. */
  readonly inflightMax?: number;
  /** Unix ms. */
  readonly now?: () => number;
  readonly onSent?: (sent: readonly SentCommand[]) => void;
  /** Confirmed at whichever instance. */
  readonly onConfirmed?: (confirmed: readonly ConfirmedCommand[]) => void;
  /** Why nothing leaves at the moment, for people; null: it does again. */
  readonly onState?: (reason: string | null) => void;
}

export interface Relay {
  /** Commands that no meter has confirmed, as counted last. */
  readonly open: number;
  /** Looks for commands now; it does so by itself when the database says that there are any. */
  wake(): void;
  close(): Promise<void>;
}

const defaultBackoff: Backoff = { firstMs: 2_000, mostMs: 300_000 };

const countMs = 5_000;
const forgetMs = 3_600_000;
const putBackMs = 500;
const closeMs = 2_000;

/**
 * Sends balance commands from the outbox to meters ([M-6]), any number of relays side by side: each command is taken
 * by one, and repeated until the meter confirms. What was sent and never arrived costs nothing but the repeat.
 */
export function startRelay(database: Database, link: MqttLink, options: RelayOptions): Relay {
  const { instance, inflightMax = 500, now = Date.now } = options;
  const { onSent = () => {}, onConfirmed = () => {}, onState = () => {} } = options;
  const backoff = { ...defaultBackoff, ...options.backoff };
  const underWay = new Set<Promise<void>>();
  const loop = startOutboxLoop(database, { channel: 'outbox_changed', drain, onState, onNotice });
  let isFirst = true;
  let open = 0;

  async function drain(): Promise<void> {
    await link.ready();
    if (isFirst) await releaseAll(database, instance);
    isFirst = false;
    await takeAll();
    loop.show(null);
  }

  async function takeAll(): Promise<void> {
    for (;;) {
      while (underWay.size >= inflightMax) await Promise.race(underWay);
      if (!loop.mayWork()) return;
      const most = inflightMax - underWay.size;
      const claimed = await claimCommands(database, { most, instance, now: now(), backoff });
      if (claimed.length > 0) {
        const work: Promise<void> = send(claimed).finally(() => underWay.delete(work));
        underWay.add(work);
      }
      if (claimed.length < most) return;
    }
  }

  async function send(claimed: readonly ClaimedCommand[]): Promise<void> {
    const begun = performance.now();
    const outcomes = await Promise.allSettled(claimed.map(publish));
    const failed: string[] = [];
    const sent: ClaimedCommand[] = [];
    let reason = '';
    outcomes.forEach((outcome, index) => {
      const command = claimed[index];
      if (command === undefined) return;
      if (outcome.status === 'fulfilled') sent.push(command);
      else {
        failed.push(command.id);
        reason = outcome.reason instanceof Error ? outcome.reason.message : String(outcome.reason);
      }
    });
    const took = (performance.now() - begun) / 1000;
    for (const { attempts, dueSeconds } of sent) {
      metrics.balanceCommandsSent.inc({ attempt: attempts === 1 ? 'first' : 'repeat' });
      if (attempts === 1) metrics.balanceSendSeconds.observe(dueSeconds + took);
    }
    if (sent.length > 0) {
      onSent(sent.map(sentCommand));
      await letGo(sent);
    }
    if (failed.length === 0) return;
    loop.show(reason);
    // Away, too? Then they are repeated by their backoff.
    await putBack(database, failed, putBackMs).catch(() => {});
  }

  /** Away, too? Then others may send to these meters when the claim has run out. */
  async function letGo(sent: readonly ClaimedCommand[]): Promise<void> {
    const ids = sent.map(({ id }) => id);
    const isMoreWanted = await releaseCommands(database, ids, instance).catch(() => false);
    if (isMoreWanted) loop.wake();
  }

  function publish({ meter_id, topic_name, balance, timestamp }: ClaimedCommand): Promise<void> {
    return link.publish({
      topic: commandTopic(topic_name ?? meter_id),
      payload: JSON.stringify({ balance: Number(balance), timestamp }),
      qos: 1,
      retain: false,
    });
  }

  function onNotice(notice: string): void {
    if (notice === 'balance') loop.wake();
    else if (notice.startsWith('confirmed:'))
      loop.beside(() => tell(notice.slice('confirmed:'.length).split(',')));
  }

  async function tell(ids: readonly string[]): Promise<void> {
    const confirmed = await selectConfirmed(database, ids);
    if (confirmed.length > 0 && !loop.stopping.aborted) onConfirmed(confirmed);
  }

  async function count(): Promise<void> {
    open = await countOpen(database);
    metrics.balanceCommandsOpen.set(open);
  }

  async function forget(): Promise<void> {
    while (!loop.stopping.aborted && (await forgetOldCommands(database)));
  }

  loop.wake();
  loop.every(countMs, count);
  loop.every(forgetMs, forget);

  return {
    get open() {
      return open;
    },
    wake: loop.wake,
    async close() {
      await loop.stop();
      // What the broker does not answer meanwhile is repeated by the next one.
      await within(closeMs, underWay);
    },
  };
}

function sentCommand(command: ClaimedCommand): SentCommand {
  const { meter_id, topic_name, balance, timestamp, reason, attempts, created_at } = command;
  const topic = commandTopic(topic_name ?? meter_id);
  return { meter_id, topic, balance: Number(balance), timestamp, reason, attempts, wanted_at: created_at };
}
