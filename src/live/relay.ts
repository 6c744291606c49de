import type { Redis } from 'ioredis';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { connectRedis, type RedisSettings } from '../redis/connection.js';
import { channelKinds, type ChannelKind } from './event.js';
import { textFrame } from './frame.js';
import type { Hub } from './hub.js';
import { isOwn, readRelay, relayText } from './relay-message.js';

export interface RelayOptions {
  readonly redis: RedisSettings;
  readonly channels: Readonly<Record<ChannelKind, string>>;
  readonly hub: Hub;
  /** Says how far it is so often: a gap is seen also when nothing follows, and both connections have something to say. */
  readonly helloMs: number;
  /** A Redis that says nothing for so long is gone; more than `helloMs`. */
  readonly silentMs: number;
}

export interface LiveRelay {
  /** Why events do not travel; null while they do. */
  readonly problem: string | null;
  close(): Promise<void>;
}

const eventsMax = 500;
/** Messages on their way to Redis; beyond it events are counted as lost. */
const underWayMax = 1_000;
/** An instance that has said nothing for so long has ended. */
const forgetMs = 600_000;
const log = logger('live');

interface Origin {
  next: number;
  heardAt: number;
}

/**
 * Carries events to other instances and theirs to ours, each once. While Redis is away everything local goes on; what
 * did not arrive is told to whoever listens, as a gap with its size. Nothing is sent later: old news would come out of
 * order, and who was away himself would miss it anyway.
 */
export function startRelay({ redis, channels, hub, helloMs, silentMs }: RelayOptions): LiveRelay {
  const { instance } = hub.options;
  const kinds = new Map(channelKinds.map((kind) => [kind, channels[kind]]));
  const origins = new Map<string, Origin>();
  const problems = { sending: 'connecting' as string | null, hearing: 'connecting' as string | null };
  let shown: string | null = null;
  let underWay = 0;
  let isClosed = false;

  const connect = (name: string, what: keyof typeof problems) =>
    connectRedis(redis, name, (reason) => note(what, reason), { silentMs });
  const sender = connect(`meterflow-${instance}`, 'sending');
  const hearer = connect(`meterflow-${instance}-live`, 'hearing');
  // ioredis subscribes again by itself when it comes back; the first time is ours.
  hearer.once('ready', () => void subscribe());
  hearer.on('message', hear);
  sender.on('ready', greet);
  const hello = setInterval(greet, helloMs);
  hello.unref();
  hub.relayTo((kind, first, texts) => {
    for (let at = 0; at < texts.length; at += eventsMax)
      send(kind, first + at, texts.slice(at, at + eventsMax));
  });

  async function subscribe(): Promise<void> {
    try {
      await hearer.subscribe(...new Set(kinds.values()));
      greet();
    } catch (error) {
      note('hearing', error instanceof Error ? error.message : String(error));
      if (!isClosed) hearer.once('ready', () => void subscribe());
    }
  }

  function send(kind: ChannelKind, first: number, texts: readonly string[]): void {
    const channel = channels[kind];
    if (sender.status !== 'ready' || underWay >= underWayMax) return count('lost', texts.length);
    underWay += 1;
    void deliver(channel, first, texts);
  }

  async function deliver(channel: string, first: number, texts: readonly string[]): Promise<void> {
    try {
      await sender.publish(channel, relayText(instance, first, texts));
      metrics.redisMessages.inc({ channel });
      count('sent', texts.length);
    } catch {
      count('lost', texts.length);
    } finally {
      underWay -= 1;
    }
  }

  /** After what is on its way: Redis takes messages of a connection in their order. */
  function greet(): void {
    hub.flush();
    for (const kind of channelKinds) send(kind, hub.nextNumber(kind), []);
    const now = Date.now();
    for (const [key, { heardAt }] of origins) if (now - heardAt > forgetMs) origins.delete(key);
  }

  function hear(channel: string, text: string): void {
    if (isOwn(instance, text)) return;
    metrics.redisMessages.inc({ channel });
    const message = readRelay(text);
    if (message === null) return log.warn({ channel }, 'a message that no instance of ours has sent');
    for (const [kind, name] of kinds) if (name === channel) take(kind, message);
  }

  function take(
    kind: ChannelKind,
    { instance: origin, first, events }: NonNullable<ReturnType<typeof readRelay>>,
  ): void {
    const key = `${kind} ${origin}`;
    const known = origins.get(key) ?? { next: first, heardAt: 0 };
    if (first > known.next) missed(kind, origin, first - known.next);
    const doubled = Math.min(Math.max(known.next - first, 0), events.length);
    if (doubled > 0) count('doubled', doubled);
    const news = events.slice(doubled);
    hub.relayed(origin, kind, first + doubled, news);
    count('received', news.length);
    known.next = Math.max(known.next, first + events.length);
    known.heardAt = Date.now();
    origins.set(key, known);
  }

  function missed(kind: ChannelKind, origin: string, events: number): void {
    count('missed', events);
    log.warn({ channel: channels[kind], instance: origin, events }, 'events of another instance were missed');
    const data = { reason: 'relay', channel: channels[kind], instance: origin, missed: events };
    hub.announce(kind, textFrame(JSON.stringify({ event: 'Gap', data })));
  }

  function note(what: keyof typeof problems, reason: string | null): void {
    if (isClosed) return;
    problems[what] = reason;
    const problem = problems.sending ?? problems.hearing;
    metrics.redisUp.set(problem === null ? 1 : 0);
    // Each attempt fails anew: one line for all of them.
    if ((problem === null) === (shown === null)) return;
    shown = problem;
    if (problem === null) log.info('events travel between instances again');
    else if (problem !== 'connecting')
      log.warn({ reason: problem }, 'Redis is away: events stay in this instance');
  }

  return {
    get problem() {
      return problems.sending ?? problems.hearing;
    },
    async close() {
      isClosed = true;
      clearInterval(hello);
      hub.relayTo(null);
      metrics.redisUp.set(0);
      await Promise.allSettled([leave(sender), leave(hearer)]);
    },
  };
}

function count(outcome: 'sent' | 'lost' | 'received' | 'doubled' | 'missed', events: number): void {
  if (events > 0) metrics.redisEvents.inc({ outcome }, events);
}

async function leave(redis: Redis): Promise<void> {
  const goodbye = redis.status === 'ready' ? redis.quit().catch(() => undefined) : Promise.resolve();
  await Promise.race([goodbye, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
  redis.disconnect();
}
