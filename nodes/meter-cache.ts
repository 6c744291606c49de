import type { NodeAPI, NodeDef } from 'node-red';
import { createCache, type Cache } from '../src/cache/cache.js';
import { MemoryStore } from '../src/cache/memory-store.js';
import { openRedisStore } from '../src/cache/redis-store.js';
import type { Database } from '../src/database/database.js';
import { defineConfigNode } from './define-node.js';
import type { RedisResource } from './meter-redis.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  redis: string;
  statisticsSeconds: string;
  recentSeconds: string;
  entriesMax: string;
  bytesMax: string;
}

/** One cache for each database, shared by all nodes that name it. */
export interface CacheResource {
  of(database: Database): Cache;
  close(): Promise<void>;
}

/** Where answers are kept for a while: in Redis, for all instances, else in this process. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, object, CacheResource>(RED, {
    type: 'meter-cache',
    open(config, _credentials, _node, use) {
      const redis = textSetting(config.redis, '') === '' ? null : use<RedisResource>(config.redis, 'redis');
      const lifetimes = {
        user_stats: seconds('Seconds of statistics', config.statisticsSeconds, 300),
        recent_readings: seconds('Seconds of readings', config.recentSeconds, 60),
      };
      const limits = {
        entriesMax: count('Entries', config.entriesMax, 20_000, 10_000_000),
        bytesMax: count('Bytes', config.bytesMax, 67_108_864, 17_179_869_184),
      };
      const caches = new Map<Database, Cache>();
      const isOff = Object.values(lifetimes).every((lifetime) => lifetime === 0);
      return {
        of(database) {
          const known = caches.get(database);
          if (known !== undefined) return known;
          const store =
            redis === null || isOff ? new MemoryStore(limits) : openRedisStore({ redis, database });
          const cache = createCache(database, store, lifetimes);
          caches.set(database, cache);
          return cache;
        },
        async close() {
          await Promise.all(Array.from(caches.values(), (cache) => cache.close()));
        },
      };
    },
    close: (resource) => resource.close(),
  });
}

function seconds(name: string, value: unknown, fallback: number): number {
  return numberSetting(value, fallback, { name, min: 0, max: 86_400, whole: true });
}

function count(name: string, value: unknown, fallback: number, max: number): number {
  return numberSetting(value, fallback, { name, min: 1, max, whole: true });
}
