import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import { listenerOf } from '../src/live/caller.js';
import { liveLimits } from '../src/live/limits.js';
import { selectOwnMeters } from '../src/live/own-meters-store.js';
import { acquireLive, releaseLive, type Live } from '../src/live/runtime.js';
import { createTokenNews, type TokenNews } from '../src/live/tokens.js';
import { defineConfigNode } from './define-node.js';
import type { CallersResource } from './meter-callers.js';
import type { RedisResource } from './meter-redis.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  path: string;
  callers: string;
  database: string;
  redis: string;
  channels: string;
  origins: string;
  clientsMax: string;
}

/** Where listeners come in, and what is known of the events that need a look into the database. */
export interface LiveResource {
  readonly live: Live;
  readonly tokens: TokenNews;
}

/** The address of live events on the port of the editor ([L-1]), shared by all nodes that tell of something. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, object, LiveResource>(RED, {
    type: 'live-gateway',
    open(config, _credentials, _node, use) {
      const database = use<Database>(config.database, 'database');
      const redis = textSetting(config.redis, '') === '' ? null : use<RedisResource>(config.redis, 'redis');
      const { callers } = use<CallersResource>(config.callers, 'callers');
      const settings = {
        path: pathOf(RED, textSetting(config.path, '/ws')),
        channels: channelsOf(textSetting(config.channels, 'market:events,meter:updates')),
        origins: listOf(textSetting(config.origins, '')),
        redis,
        limits: {
          ...liveLimits,
          clientsMax: numberSetting(config.clientsMax, liveLimits.clientsMax, {
            name: 'Listeners',
            min: 1,
            max: 100_000,
            whole: true,
          }),
        },
      };
      const live = acquireLive(JSON.stringify(settings), {
        ...settings,
        server: RED.server,
        callerOf: listenerOf(callers),
        metersOf: (userIds) => selectOwnMeters(database, userIds),
      });
      return { live, tokens: createTokenNews(database) };
    },
    close({ live }) {
      releaseLive(live);
      return Promise.resolve();
    },
  });
}

/** Under the root of the flows, as everything that they serve. */
function pathOf(RED: NodeAPI, path: string): string {
  const root = (RED.settings.httpNodeRoot || '/').replace(/\/$/, '');
  return `${root}/${path.replace(/^\//, '')}`;
}

/** Money and tokens, then what meters say; one name is for both. */
function channelsOf(text: string): { market: string; meter: string } {
  const [market = '', meter = market, ...more] = listOf(text);
  if (market === '' || more.length > 0)
    throw new DomainError('CONFIGURATION', 'The channels are one name or two: market:events,meter:updates.');
  return { market, meter };
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}
