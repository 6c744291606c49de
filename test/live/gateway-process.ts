/** A gateway in a process of its own, for a parent that tells it what happens. Given: settings of Redis as JSON. */
import type { LiveEvent } from '../../src/live/event.js';
import type { RedisSettings } from '../../src/redis/connection.js';
import { startLiveHouse } from './house.js';

export type ToGateway = { readonly tell: readonly LiveEvent[] } | { readonly ask: 'state' };

export interface FromGateway {
  readonly url?: string;
  readonly state?: { readonly problem: string | null; readonly clients: number };
}

const redis = process.argv[2] === undefined ? null : (JSON.parse(process.argv[2]) as RedisSettings);

async function run(): Promise<void> {
  // A Redis that hangs is noticed sooner than in real life.
  const limits = { redisHelloMs: 1_000, redisSilentMs: 3_000 };
  const house = await startLiveHouse(redis === null ? {} : { redis, limits });
  process.on('message', (message: ToGateway) => {
    if ('tell' in message) house.tell(...message.tell);
    else send({ state: { problem: house.live.relay?.problem ?? null, clients: house.live.gateway.clients } });
  });
  process.on('disconnect', () => process.exit(0));
  send({ url: house.url });
}

function send(message: FromGateway): void {
  process.send?.(message);
}

void run();
