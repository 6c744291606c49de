import { setTimeout as delay } from 'node:timers/promises';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import type { DeviceKeys } from '../src/devices/keys/device-keys.js';
import { createRegistry } from '../src/devices/registry.js';
import { createVirtualFleet, type VirtualFleet } from '../src/mocks/virtual-fleet.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { defineNode, type Host } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  keyring: string;
  count: string;
  prefix: string;
  seed: string;
  backfillHours: string;
  telemetrySeconds: string;
}

const retryMs = 2000;

/** Meters as firmware would be, registered and connected like real ones. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'activity'>(RED, {
    type: 'virtual-meter',
    outputs: ['activity'],
    start(config, host) {
      const settings = settingsOf(config);
      if (settings.count === 0) {
        host.status('idle', 'off: no virtual meters wanted');
        return {};
      }
      const registry = createRegistry(host.use<Database>(config.database, 'database'));
      const { host: broker, port, tls, trust } = host.use<MqttLink>(config.mqtt, 'broker');
      const { node } = host;
      const log = { info: (line: string) => node.debug(line), warn: (line: string) => node.warn(line) };
      const signing = signingOf(host, config);
      const fleet = createVirtualFleet({
        ...settings,
        ...signing,
        registry,
        mqtt: { host: broker, port, tls, trust },
        log,
      });
      fleet.onState((meter) => {
        host.emit({ activity: { topic: 'activity', payload: meter } as never });
        show(host, fleet, settings.count);
      });
      const closing = new AbortController();
      host.status('busy', 'registering');
      const started = startUntil(fleet, closing.signal, (reason) => host.status('error', reason));
      return {
        async close() {
          closing.abort();
          await fleet.stop();
          await started;
        },
      };
    },
  });
}

function signingOf(host: Host<string>, config: Config): { keys?: DeviceKeys } {
  if (textSetting(config.keyring, '') === '') return {};
  return { keys: host.use<KeyringResource>(config.keyring, 'keyring').keys };
}

function settingsOf(config: Config) {
  const whole = true;
  return {
    count: numberSetting(config.count, 6, { name: 'Meters', min: 0, max: 1000, whole }),
    prefix: textSetting(config.prefix, 'DEMO'),
    seed: numberSetting(config.seed, 1, { name: 'Seed', min: 0, max: 4_294_967_295, whole }),
    backfillHours: numberSetting(config.backfillHours, 24, { name: 'Backfill', min: 0, max: 168, whole }),
    telemetrySeconds: numberSetting(config.telemetrySeconds, 5, {
      name: 'Telemetry',
      min: 0,
      max: 3600,
      whole,
    }),
  };
}

/** The registry may be away when the flow starts. */
async function startUntil(
  fleet: VirtualFleet,
  signal: AbortSignal,
  onFailure: (reason: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await fleet.start();
      return;
    } catch (error) {
      if (signal.aborted) return;
      onFailure(error instanceof Error ? error.message : String(error));
      await fleet.stop();
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function show(host: Host<'activity'>, fleet: VirtualFleet, count: number): void {
  const { online, waiting, power_kw, reason } = fleet.state;
  const sending = waiting > 0 ? ` · ${waiting.toLocaleString('en')} to send` : '';
  if (online === count) host.status('ok', `${count} meters · ${power_kw.toFixed(1)} kW${sending}`);
  else if (reason === null) host.status('busy', `${online} of ${count} meters online${sending}`);
  else host.status('warning', `${online} of ${count} meters online: ${reason}`);
}
