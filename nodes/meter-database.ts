import type { Node, NodeAPI, NodeDef } from 'node-red';
import { changesOf } from '../src/cache/changes.js';
import { isTransient, openDatabase, type Database } from '../src/database/database.js';
import { migrated } from '../src/database/migrated.js';
import { DomainError } from '../src/errors.js';
import {
  keepUp,
  messageDaysDefault,
  readingDaysDefault,
  sealAfterDaysDefault,
  type Upkeep,
} from '../src/statistics/upkeep.js';
import { connectionUrl } from './connection-url.js';
import { defineConfigNode } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  url: string;
  connectionsMax: string;
  migrate?: boolean;
  /** The following are absent in flows that were made before there was a choice. */
  readingDays?: string;
  messageDays?: string;
  ageMaxDays?: string;
}

interface Credentials {
  user: string;
  password: string;
}

/** One pool for all nodes that name it; reconnects by itself and tells its users why it is away. */
export default function (RED: NodeAPI): void {
  const upkeeps = new WeakMap<Database, Upkeep>();
  defineConfigNode<Config, Credentials, Database>(RED, {
    type: 'meter-database',
    credentials: { user: { type: 'text' }, password: { type: 'password' } },
    open(config, credentials, node) {
      const database = openDatabase({
        url: connectionUrl(textSetting(config.url, ''), credentials),
        connectionsMax: numberSetting(config.connectionsMax, 10, {
          name: 'Connections',
          min: 2,
          max: 200,
          whole: true,
        }),
        applicationName: 'meterflow',
      });
      // Absent in flows that were made before there was a choice. Without tables of ours there is nothing to look after.
      if (config.migrate === false) return database;
      const tended = migrated(database);
      upkeeps.set(tended, keepUp(tended, { ...agesOf(config), ...tellingOf(node) }));
      return tended;
    },
    async close(database) {
      await upkeeps.get(database)?.stop();
      await changesOf(database).close();
      await database.close();
    },
  });
}

function agesOf(config: Config): {
  readingDays: number | null;
  messageDays: number | null;
  sealAfterDays: number;
} {
  // A day more than a reading may be late: days end at different times.
  const sealAfterDays = 1 + days('Lateness', config.ageMaxDays, sealAfterDaysDefault - 1, 3650);
  const readingDays = days('Days of readings', config.readingDays, readingDaysDefault, 36_500);
  const messageDays = days('Days of messages', config.messageDays, messageDaysDefault, 36_500);
  if (readingDays !== 0 && readingDays < sealAfterDays)
    throw new DomainError(
      'CONFIGURATION',
      `Readings are kept for ${readingDays} days, but may come ${sealAfterDays - 1} days late: keep them longer, or 0 for ever.`,
    );
  return { readingDays: readingDays || null, messageDays: messageDays || null, sealAfterDays };
}

/** A database that is away is told of by the nodes that use it; every other failure once. */
function tellingOf(node: Node): { onError: (error: unknown) => void; onNotice: (notice: string) => void } {
  let told = '';
  return {
    onError(error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (isTransient(error) || reason === told) return;
      told = reason;
      node.warn(`Looking after the tables: ${reason}`);
    },
    onNotice: (notice) => node.warn(notice),
  };
}

function days(name: string, value: unknown, fallback: number, max: number): number {
  return numberSetting(value, fallback, { name, min: 0, max, whole: true });
}
