import type { NodeAPI, NodeDef } from 'node-red';
import type { BrokerDoors } from '../src/mqtt/device-address.js';
import { openMqttLink, reachable, type MqttLink, type MqttLinkOptions } from '../src/mqtt/link.js';
import { defineConfigNode } from './define-node.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  host: string;
  embeddedHost: string;
  port: string;
  tls: boolean | string;
  tlsPort: string;
  ca: string;
  cert: string;
  key: string;
  clientId: string;
  publicUrl: string;
}

interface Credentials {
  user: string;
  password: string;
}

/** The link, and how devices come in, which is not always how this process does. */
export interface KnownBroker extends MqttLink {
  readonly doors: BrokerDoors;
}

/** Where the broker is, and one connection to it for all nodes that publish or subscribe through it. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, KnownBroker>(RED, {
    type: 'meter-mqtt',
    credentials: { user: { type: 'text' }, password: { type: 'password' } },
    open(config, credentials, node) {
      const link = openMqttLink({
        host: textSetting(config.host, reachable(textSetting(config.embeddedHost, '127.0.0.1'))),
        ...wayTo(config),
        isExternal: textSetting(config.host, '') !== '',
        clientId: textSetting(config.clientId, `meterflow-${node.id}`),
        username: textSetting(credentials.user, ''),
        password: textSetting(credentials.password, ''),
      });
      return Object.assign(link, { doors: doorsOf(config, link) });
    },
    close: (link) => link.close(),
  });
}

/** Our own broker is known by its very certificate, another one by its CA; only there we may have to show one, too. */
function wayTo(config: Config): Pick<MqttLinkOptions, 'port' | 'tls' | 'trust'> {
  const tls = flagSetting(config.tls, false);
  const isOurs = textSetting(config.host, '') === '';
  const certFile = textSetting(config.cert, '');
  const port =
    tls && isOurs
      ? portSetting(config.tlsPort, 8883, 'Port of MQTTS')
      : portSetting(config.port, tls ? 8883 : 1883, 'Port');
  const trust = isOurs
    ? { caFile: '', certFile: '', keyFile: '', pinnedFile: certFile }
    : {
        caFile: textSetting(config.ca, ''),
        certFile,
        keyFile: textSetting(config.key, ''),
        pinnedFile: '',
      };
  return { port, tls, trust };
}

function doorsOf(config: Config, { host, tls, isExternal }: MqttLink): BrokerDoors {
  return {
    publicUrl: textSetting(config.publicUrl, ''),
    isExternal,
    host,
    port: portSetting(config.port, tls ? 8883 : 1883, 'Port'),
    tls,
    tlsPort: portSetting(config.tlsPort, 8883, 'Port of MQTTS'),
    certFile: textSetting(config.cert, ''),
    caFile: textSetting(config.ca, ''),
  };
}

function portSetting(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 1, max: 65_535, whole: true });
}
