import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import type { NatsAddress } from '../src/forward/connect.js';
import type { Forwarder, ThreadSettings } from '../src/forward/forwarder.js';
import { acquireForwarder, releaseForwarder } from '../src/forward/runtime.js';
import { defineNode, type Host } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  url: string;
  credsFile: string;
  caFile: string;
  certFile: string;
  keyFile: string;
  stream: string;
  prefix: string;
  maxAgeHours: string;
  maxBytes: string;
  replicas: string;
  duplicateSeconds: string;
  keepHours: string;
  unforwardedDays: string;
  passingMax: string;
  instance: string;
}

interface Credentials {
  user: string;
  password: string;
  token: string;
  nkey: string;
}

type Output = 'forwarded' | 'dropped';

const showEveryMs = 1000;

/** Every accepted message of every device to NATS JetStream ([L-2]); what a store has settled comes without a wire. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'nats-forward',
    outputs: ['forwarded', 'dropped'],
    credentials: {
      user: { type: 'text' },
      password: { type: 'password' },
      token: { type: 'password' },
      nkey: { type: 'password' },
    },
    start(config, host) {
      const servers = serversOf(config.url);
      if (servers.length === 0) {
        host.status('idle', 'off: NATS_URL is not set');
        return {};
      }
      const { credentials } = host.node as typeof host.node & { readonly credentials?: Partial<Credentials> };
      const settings = settingsOf(config, addressOf(config, servers, credentials ?? {}), host);
      const forwarder = acquireForwarder(settings);
      const shown = show(host, forwarder);
      return {
        close() {
          clearInterval(shown);
          releaseForwarder(forwarder);
        },
      };
    },
  });
}

function serversOf(url: string): string[] {
  const servers = textSetting(url, '')
    .split(',')
    .map((server) => server.trim())
    .filter((server) => server !== '');
  const bad = servers.find((server) => !URL.canParse(server) || !/^(?:nats|tls|wss?):\/\//.test(server));
  if (bad === undefined) return servers;
  throw new DomainError('CONFIGURATION', 'The address of NATS begins with nats://, tls://, ws:// or wss://');
}

function addressOf(config: Config, servers: readonly string[], login: Partial<Credentials>): NatsAddress {
  return {
    servers,
    user: textSetting(login.user, ''),
    password: textSetting(login.password, ''),
    token: textSetting(login.token, ''),
    nkey: textSetting(login.nkey, ''),
    credsFile: textSetting(config.credsFile, ''),
    caFile: textSetting(config.caFile, ''),
    certFile: textSetting(config.certFile, ''),
    keyFile: textSetting(config.keyFile, ''),
  };
}

function settingsOf(config: Config, address: NatsAddress, host: Host<Output>): ThreadSettings {
  const whole = true;
  const number = (value: unknown, fallback: number, name: string, min: number, max: number): number =>
    numberSetting(value, fallback, { name, min, max, whole });
  const maxBytes = number(config.maxBytes, 0, 'Most bytes of the stream', 0, 1e15);
  return {
    databaseUrl: host.use<Database>(config.database, 'database').url,
    address,
    instance: textSetting(config.instance, hostname()),
    stream: {
      name: nameSetting(config.stream, 'METERFLOW', 'The stream', /^[^\s.*>/\\]{1,64}$/),
      prefix: nameSetting(config.prefix, 'meterflow', 'The prefix', /^[\w-]+(?:\.[\w-]+)*$/),
      maxAgeHours: number(config.maxAgeHours, 168, 'Max age of the stream', 0, 1_000_000),
      maxBytes: maxBytes === 0 ? -1 : maxBytes,
      replicas: number(config.replicas, 1, 'Replicas', 1, 5),
      duplicateSeconds: number(config.duplicateSeconds, 120, 'Duplicate window', 1, 86_400),
    },
    keepHours: number(config.keepHours, 24, 'Journal', 1, 8760),
    unforwardedDays: number(config.unforwardedDays, 30, 'Journal of what waits', 1, 3650),
    passingMax: number(config.passingMax, 10_000, 'Messages of QoS 0', 0, 1_000_000),
  };
}

function nameSetting(value: unknown, fallback: string, name: string, pattern: RegExp): string {
  const text = textSetting(value, fallback);
  if (pattern.test(text)) return text;
  throw new DomainError('CONFIGURATION', `${name} cannot be called ${JSON.stringify(text)} in NATS`);
}

/** Status once a second, and an output message for what happened since. */
function show(host: Host<Output>, forwarder: Forwarder): NodeJS.Timeout {
  let sum = { messages: 0, passed: 0 };
  let dropped = 0;
  forwarder.listen({
    forwarded(messages, passed) {
      sum = { messages: sum.messages + messages, passed: sum.passed + passed };
    },
    dropped(messages, reason, details) {
      dropped += messages;
      if (reason !== 'qos 0') host.node.warn(`Not forwarded to NATS: ${messages} (${reason}), ${details}`);
      host.emit({ dropped: { topic: 'dropped', payload: { messages, reason, details } } as never });
    },
    log: (level, line) => (level === 'warn' ? host.node.warn(line) : host.node.log(line)),
  });
  const paint = (): void => {
    const { messages, passed } = sum;
    sum = { messages: 0, passed: 0 };
    const { backlog, lagMs } = forwarder.state;
    if (messages + passed > 0) {
      const payload = { messages, passed, backlog, lag_ms: Math.round(lagMs) };
      host.emit({ forwarded: { topic: 'forwarded', payload } as never });
    }
    showState(host, forwarder, messages + passed, dropped);
  };
  paint();
  return setInterval(paint, showEveryMs).unref();
}

function showState(host: Host<Output>, { state }: Forwarder, perSecond: number, dropped: number): void {
  const { isConnected, problem, differences, backlog, lagMs, lanes } = state;
  const waiting = `backlog ${count(backlog)}`;
  if (!isConnected && problem === null) host.status('busy', `connecting · ${waiting}`);
  else if (!isConnected) host.status('error', `NATS away · ${waiting} · ${problem}`);
  else if (lanes === 0)
    host.status('idle', `connected · standing by: another instance forwards · ${waiting}`);
  else {
    const lost = dropped > 0 ? ` · ${count(dropped)} dropped` : '';
    const other = differences.length > 0 ? ` · stream: ${differences.join(', ')}` : '';
    host.status(
      other === '' ? 'ok' : 'warning',
      `connected · ${count(perSecond)}/s · ${waiting} · lag ${lagOf(lagMs)}${lost}${other}`,
    );
  }
}

function lagOf(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${count(Math.round(ms / 1000))} s`;
}

function count(number: number): string {
  return number.toLocaleString('en');
}
