import { setTimeout as delay } from 'node:timers/promises';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import type { DeviceKeys } from '../src/devices/keys/device-keys.js';
import { createRegistry } from '../src/devices/registry.js';
import { DomainError } from '../src/errors.js';
import { findUser } from '../src/http/callers-store.js';
import { createVirtualFleet, type VirtualFleet } from '../src/mocks/virtual-fleet.js';
import { meterCommands, type MeterCommand } from '../src/mocks/virtual-meter-state.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { defineNode, type Host, type Message } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  keyring: string;
  count: string;
  prefix: string;
  owner: string;
  seed: string;
  backfillHours: string;
  telemetrySeconds: string;
  prepaid: boolean | string;
  reportSeconds: string;
  lowUnits: string;
  lostPercent: string;
  doubledPercent: string;
  tokenRefusedPercent: string;
  tokenSilentPercent: string;
  tokenLatePercent: string;
  tokenTwicePercent: string;
  tokenLateSeconds: string;
}

const retryMs = 2000;
const showMs = 250;

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
      const database = host.use<Database>(config.database, 'database');
      const owner = textSetting(config.owner, '');
      const { host: broker, port, tls, trust } = host.use<MqttLink>(config.mqtt, 'broker');
      const { node } = host;
      const log = {
        debug: (line: string) => node.debug(line),
        info: (line: string) => node.log(line),
        warn: (line: string) => node.warn(line),
      };
      const signing = signingOf(host, config);
      const fleet = createVirtualFleet({
        ...settings,
        ...signing,
        registry: createRegistry(database),
        owner: owner === '' ? undefined : () => findUser(database, { name: owner }),
        mqtt: { host: broker, port, tls, trust },
        log,
      });
      // A look at every meter, so not for each change of any: a thousand meters change two hundred times a second.
      let showing: NodeJS.Timeout | undefined;
      fleet.onState((meter) => {
        host.emit({ activity: { topic: 'activity', payload: meter } as never });
        showing ??= setTimeout(() => {
          showing = undefined;
          show(host, fleet, settings.count);
        }, showMs);
      });
      const closing = new AbortController();
      host.status('busy', 'registering');
      const started = startUntil(fleet, closing.signal, (reason) => host.status('error', reason));
      return {
        async input(message) {
          const { meterId, command } = commandOf(message);
          await fleet.command(meterId, command);
        },
        async close() {
          closing.abort();
          await fleet.stop();
          clearTimeout(showing);
          await started;
        },
      };
    },
  });
}

/** @throws SCHEMA_INVALID when the message names no command or no meter */
function commandOf({ topic, payload }: Message): { meterId: string; command: MeterCommand } {
  const command = meterCommands.find((known) => known === topic);
  if (command === undefined) {
    throw new DomainError(
      'SCHEMA_INVALID',
      `msg.topic is "${String(topic)}"; it must be one of ${meterCommands.join(', ')}.`,
    );
  }
  const named = payload as { meter_id?: unknown } | null | undefined;
  const meterId = typeof payload === 'string' ? payload : named?.meter_id;
  if (typeof meterId !== 'string')
    throw new DomainError('SCHEMA_INVALID', 'msg.payload must hold the meter_id.');
  return { meterId, command };
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
    prepaid: prepaidOf(config),
  };
}

function prepaidOf(config: Config) {
  if (!flagSetting(config.prepaid, true)) return undefined;
  const low = numberSetting(config.lowUnits, 1, { name: 'Low balance', min: 0, max: 1_000_000 });
  return {
    reportSeconds: numberSetting(config.reportSeconds, 30, {
      name: 'Report',
      min: 1,
      max: 86_400,
      whole: true,
    }),
    lowUnits: Math.round(low * 10_000),
    mishaps: {
      lost: percent(config.lostPercent, 'Lost messages'),
      doubled: percent(config.doubledPercent, 'Doubled messages'),
    },
    tokens: tokensOf(config),
  };
}

function tokensOf(config: Config) {
  const late = numberSetting(config.tokenLateSeconds, 45, { name: 'Late means', min: 0, max: 3600 });
  return {
    refused: percent(config.tokenRefusedPercent, 'Refused tokens', 100),
    silent: percent(config.tokenSilentPercent, 'Unanswered tokens', 100),
    late: percent(config.tokenLatePercent, 'Late answers', 100),
    twice: percent(config.tokenTwicePercent, 'Answers given twice', 100),
    lateMs: late * 1000,
  };
}

/** As a part of 1. */
function percent(value: unknown, name: string, max = 50): number {
  return numberSetting(value, 0, { name, min: 0, max }) / 100;
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
  const { online, waiting, power_kw, off, reason } = fleet.state;
  const without = off > 0 ? ` · ${off} without supply` : '';
  const sending = waiting > 0 ? ` · ${waiting.toLocaleString('en')} to send` : '';
  if (online === count) host.status('ok', `${count} meters · ${power_kw.toFixed(1)} kW${without}${sending}`);
  else if (reason === null) host.status('busy', `${online} of ${count} meters online${sending}`);
  else host.status('warning', `${online} of ${count} meters online: ${reason}`);
}
