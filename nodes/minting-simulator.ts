import type { NodeAPI, NodeDef } from 'node-red';
import { serveMinting } from '../src/mocks/minting/server.js';
import { createMintingSimulator, type MintSaid } from '../src/mocks/minting/simulator.js';
import { defineNode, type Host } from './define-node.js';
import { mount } from './mount.js';
import { flagSetting, numberSetting } from './setting.js';

interface Config extends NodeDef {
  enabled: string;
  seed: string;
  refuse: string;
  lose: string;
  pend: string;
  busy: string;
  pendSeconds: string;
}

/** Where it is played, under the address of the flows. */
const mountPath = '/simulators/minting';

/** Plays the minting service: one mint per idempotency key, and whatever may go wrong on the way. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'minted'>(RED, {
    type: 'minting-simulator',
    outputs: ['minted'],
    start(config, host) {
      if (!flagSetting(config.enabled, false)) {
        host.status('idle', 'off: a real service is set, or this is production');
        return {};
      }
      const counts = { minted: 0, others: 0 };
      const simulator = createMintingSimulator(settingsOf(config), (mint) => {
        counts.minted += 1;
        host.emit({
          minted: { _msgid: RED.util.generateId(), topic: mint.wallet_address, payload: mint },
        });
      });
      const unmount = mount(
        RED,
        mountPath,
        serveMinting(simulator, (said) => show(host, counts, said)),
      );
      host.status('ok', 'ready');
      return { close: () => unmount() };
    },
  });
}

function settingsOf(config: Config) {
  return {
    seed: numberSetting(config.seed, 1, { name: 'Seed', min: 0, max: 4_294_967_295, whole: true }),
    rates: {
      refuse: percent(config.refuse, 'Refused'),
      lose: percent(config.lose, 'Answers lost'),
      pend: percent(config.pend, 'Pending first'),
      busy: percent(config.busy, 'Busy first'),
    },
    pendMs: 1000 * numberSetting(config.pendSeconds, 5, { name: 'Pending for', min: 0, max: 3600 }),
  };
}

function percent(value: unknown, name: string): number {
  return numberSetting(value, 0, { name, min: 0, max: 100 }) / 100;
}

/** `12 minted · 1 refused or busy` */
function show(host: Host<string>, counts: { minted: number; others: number }, said: MintSaid): void {
  if (said.status >= 400 && said.status !== 404) counts.others += 1;
  const others = counts.others > 0 ? ` · ${counts.others} refused or busy` : '';
  host.status('ok', `${counts.minted} minted${others}`);
}
