import type { NodeAPI, NodeDef } from 'node-red';
import { openDatabase, type Database } from '../src/database/database.js';
import { migrated } from '../src/database/migrated.js';
import { connectionUrl } from './connection-url.js';
import { defineConfigNode } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  url: string;
  connectionsMax: string;
  migrate?: boolean;
}

interface Credentials {
  user: string;
  password: string;
}

/** One pool for all nodes that name it; reconnects by itself and tells its users why it is away. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, Database>(RED, {
    type: 'meter-database',
    credentials: { user: { type: 'text' }, password: { type: 'password' } },
    open(config, credentials) {
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
      // Absent in flows that were made before there was a choice.
      return config.migrate === false ? database : migrated(database);
    },
    close: (database) => database.close(),
  });
}
