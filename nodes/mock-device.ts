import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import type { MockTelemetry } from '../src/mocks/mock-host.js';
import type { MockChange } from '../src/mocks/mock-changes-store.js';
import { createMockSync, type MockSyncOptions, type MockSyncState } from '../src/mocks/mock-sync.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { defineNode, type Host, type Message } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  keyring: string;
  enabled: boolean | string;
  instance: string;
  seed: string;
  telemetrySeconds: string;
}

type Output = 'created' | 'updated' | 'deleted' | 'telemetry';

const telemetryPort = 3;
const everyMs = 1_000;

/** A mock beside each real device, kept in step by device events, from whichever program they come. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'mock-device',
    outputs: ['created', 'updated', 'deleted', 'telemetry'],
    start(config, host) {
      if (!flagSetting(config.enabled, true)) {
        host.status('idle', 'off: no mocks wanted');
        return {};
      }
      const measured = new Map<string, MockTelemetry>();
      // While other nodes are away, what is sent would reach nobody.
      let held: MockChange[] | null = [];
      const sync = createMockSync({
        ...settingsOf(config),
        ...resourcesOf(config, host),
        log: {
          debug: (line) => host.node.debug(line),
          info: (line) => host.node.log(line),
          warn: (line) => host.node.warn(line),
        },
        onChanges: (changes) => (held === null ? tell(host, changes) : held.push(...changes)),
        ...(isWired(host.node, telemetryPort)
          ? { onMeasured: (telemetry: MockTelemetry) => void measured.set(telemetry.id, telemetry) }
          : {}),
      });
      const timer = setInterval(() => {
        show(host, sync.state);
        if (measured.size === 0 || held !== null) return;
        host.emit({ telemetry: { topic: 'telemetry', payload: [...measured.values()] } as never });
        measured.clear();
      }, everyMs);
      host.status('busy', 'starting');
      sync.start();
      return {
        async input({ topic, payload }) {
          await sync.take(Array.isArray(payload) ? payload : [payload], topic ?? '', host.signal);
        },
        deploys: {
          started() {
            const waiting = held ?? [];
            held = null;
            tell(host, waiting);
          },
          stopping() {
            held ??= [];
          },
        },
        async close(removed) {
          clearInterval(timer);
          await sync.stop(removed);
        },
      };
    },
  });
}

function resourcesOf(
  config: Config,
  host: Host<Output>,
): Pick<MockSyncOptions, 'database' | 'broker' | 'signing'> {
  const database = host.use<Database>(config.database, 'database');
  const broker = host.use<MqttLink>(config.mqtt, 'broker');
  if (textSetting(config.keyring, '') === '') return { database, broker };
  const { method, keys } = host.use<KeyringResource>(config.keyring, 'keyring');
  if (method === 'mtls')
    throw new DomainError(
      'CONFIGURATION',
      'Mocks have no certificates: with signatures by mtls they are refused. Turn them off, or use another method.',
    );
  if (method === 'none') return { database, broker };
  return { database, broker, signing: { keys, algorithm: method === 'hmac' ? 'hmac-sha256' : method } };
}

function settingsOf(config: Config): Pick<MockSyncOptions, 'instance' | 'seed' | 'telemetrySeconds'> {
  const whole = true;
  return {
    instance: textSetting(config.instance, hostname()),
    seed: numberSetting(config.seed, 1, { name: 'Seed', min: 0, max: 4_294_967_295, whole }),
    telemetrySeconds: numberSetting(config.telemetrySeconds, 5, {
      name: 'Telemetry',
      min: 0,
      max: 3600,
      whole,
    }),
  };
}

/** One message per mock: what follows is a flow of its own for each. */
function tell(host: Host<Output>, changes: readonly MockChange[]): void {
  for (const { effect, id, real_id } of changes)
    if (effect !== 'refused') {
      const message = { topic: `mock.${effect}`, payload: { id, real_id } } as Message;
      host.emit({ [effect]: message });
    }
}

/** What ten thousand mocks measure is gathered only for somebody who takes it. */
function isWired(node: object, port: number): boolean {
  const { wires } = node as { readonly wires?: readonly (readonly string[])[] };
  return (wires?.[port]?.length ?? 0) > 0;
}

function show(host: Host<Output>, state: MockSyncState): void {
  const { role, holder, mocks, online, power_kw, reason, deaf, pending, problem } = state;
  if (role === 'standby')
    return host.status('idle', `waiting: ${holder ?? 'another instance'} plays the mocks`);
  if (problem !== null) return host.status('error', problem);
  if (role === 'starting') return host.status('busy', 'waiting for the database');
  const count = `${mocks.toLocaleString('en')} ${mocks === 1 ? 'mock' : 'mocks'}`;
  const behind = pending > 0 ? ` · ${pending.toLocaleString('en')} events to apply` : '';
  if (deaf !== null) host.status('warning', `${count} · no events: ${deaf}`);
  else if (online === mocks) host.status('ok', `${count} · ${power_kw.toFixed(1)} kW${behind}`);
  else if (reason === null) host.status('busy', `${online} of ${count} online${behind}`);
  else host.status('warning', `${online} of ${count} online: ${reason}`);
}
