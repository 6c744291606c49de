import type { NodeAPI, NodeDef } from 'node-red';
import { serveTokenVendor } from '../src/mocks/token-vendor/server.js';
import {
  createTokenVendor,
  type Handover,
  type VendorAnswer,
  type VendorSettings,
} from '../src/mocks/token-vendor/vendor.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { defineNode, type Host } from './define-node.js';
import { mount } from './mount.js';
import { answer } from './outcome.js';
import { flagSetting, numberSetting } from './setting.js';

interface Config extends NodeDef {
  mqtt: string;
  enabled: string;
  seed: string;
  delayMinMs: string;
  delayMaxMs: string;
  refuse: string;
  before: string;
  late: string;
  never: string;
  twice: string;
  lateSeconds: string;
  holdMs: string;
}

type Output = 'accepted' | 'refused' | 'handed';

/** Where it is played, under the address of the flows. */
const mountPath = '/simulators/token-vendor';

/** Plays the meter-management system: takes tokens over HTTP and hands them to meters over MQTT. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'token-vendor-simulator',
    outputs: ['accepted', 'refused', 'handed'],
    start(config, host) {
      if (!flagSetting(config.enabled, false)) {
        host.status('idle', 'off: a real system is set, or this is production');
        return {};
      }
      const link = host.use<MqttLink>(config.mqtt, 'broker');
      const show = shown(host);
      const vendor = createTokenVendor(
        settingsOf(config),
        (publication) => link.publish(publication),
        (handover) => {
          show.handed(handover);
          const { _msgid, topic } = { _msgid: RED.util.generateId(), topic: handover.meter_number };
          host.emit({ handed: { _msgid, topic, payload: handover } });
        },
      );
      const unmount = mount(
        RED,
        mountPath,
        serveTokenVendor(vendor, (given) => show.answered(given)),
      );
      host.status('ok', 'ready');
      return {
        async input(message, emit) {
          const wish = typeof message.topic === 'string' ? message.topic : undefined;
          const given = await vendor.order(message.payload, wish);
          show.answered(given);
          const outcome = given.act === 'refuse' ? 'refused' : 'accepted';
          emit({ [outcome]: answer(message, outcome, given.status, given.body) });
        },
        async close() {
          unmount();
          await vendor.close();
        },
      };
    },
  });
}

function settingsOf(config: Config): VendorSettings {
  const minMs = ms(config.delayMinMs, 50, 'Shortest way');
  return {
    seed: numberSetting(config.seed, 1, { name: 'Seed', min: 0, max: 4_294_967_295, whole: true }),
    rates: {
      refuse: percent(config.refuse, 'Refused'),
      before: percent(config.before, 'Overtaken'),
      late: percent(config.late, 'Late'),
      never: percent(config.never, 'Forgotten'),
      twice: percent(config.twice, 'Handed over twice'),
    },
    delay: { minMs, maxMs: Math.max(minMs, ms(config.delayMaxMs, 500, 'Longest way')) },
    lateMs: 1000 * numberSetting(config.lateSeconds, 45, { name: 'Late means', min: 0, max: 3600 }),
    holdMs: ms(config.holdMs, 1500, 'Overtaken by'),
  };
}

function percent(value: unknown, name: string): number {
  return numberSetting(value, 0, { name, min: 0, max: 100 }) / 100;
}

function ms(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 0, max: 600_000 });
}

/** `12 accepted · 1 refused`; a broker that does not take a token is a warning. */
function shown(host: Host<string>): {
  answered(answer: VendorAnswer): void;
  handed(handover: Handover): void;
} {
  const counts = { accepted: 0, refused: 0 };
  let problem: string | null = null;
  const show = (): void => {
    const parts = [`${counts.accepted} accepted`];
    if (counts.refused > 0) parts.push(`${counts.refused} refused`);
    if (problem !== null) parts.push(problem);
    host.status(problem === null ? 'ok' : 'warning', parts.join(' · '));
  };
  return {
    answered({ act }) {
      counts[act === 'refuse' ? 'refused' : 'accepted'] += 1;
      show();
    },
    handed(handover) {
      if (handover.problem === problem) return;
      problem = handover.problem;
      show();
    },
  };
}
