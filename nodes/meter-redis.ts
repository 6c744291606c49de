import type { NodeAPI, NodeDef } from 'node-red';
import { DomainError } from '../src/errors.js';
import type { RedisSettings } from '../src/redis/connection.js';
import { defineConfigNode } from './define-node.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  url: string;
  caFile: string;
}

interface Credentials {
  password: string;
}

/** Where Redis is, for the nodes that share something with other instances; without an address they do without. */
export type RedisResource = RedisSettings | null;

export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, RedisResource>(RED, {
    type: 'meter-redis',
    credentials: { password: { type: 'password' } },
    open(config, credentials) {
      const url = textSetting(config.url, '');
      if (url === '') return null;
      if (!URL.canParse(url) || !/^rediss?:$/.test(new URL(url).protocol))
        throw new DomainError('CONFIGURATION', 'The address of Redis must be redis:// or rediss://.');
      const password = textSetting(credentials.password, '');
      const caFile = textSetting(config.caFile, '');
      return { url, password: password === '' ? null : password, caFile: caFile === '' ? null : caFile };
    },
    close: () => Promise.resolve(),
  });
}
