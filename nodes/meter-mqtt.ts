import type { NodeAPI, NodeDef } from 'node-red';
import { openMqttLink, reachable, type MqttLink } from '../src/mqtt/link.js';
import { defineConfigNode } from './define-node.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  host: string;
  embeddedHost: string;
  port: string;
  tls: boolean | string;
  clientId: string;
}

interface Credentials {
  user: string;
  password: string;
}

/** Where the broker is, and one connection to it for all nodes that publish or subscribe through it. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, MqttLink>(RED, {
    type: 'meter-mqtt',
    credentials: { user: { type: 'text' }, password: { type: 'password' } },
    open: (config, credentials, node) =>
      openMqttLink({
        host: textSetting(config.host, reachable(textSetting(config.embeddedHost, '127.0.0.1'))),
        port: numberSetting(config.port, 1883, { name: 'Port', min: 1, max: 65535, whole: true }),
        tls: flagSetting(config.tls, false),
        isExternal: textSetting(config.host, '') !== '',
        clientId: textSetting(config.clientId, `meterflow-${node.id}`),
        username: textSetting(credentials.user, ''),
        password: textSetting(credentials.password, ''),
      }),
    close: (link) => link.close(),
  });
}
