import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import type { Caller } from '../src/devices/audit.js';
import { createMinting, type Minting } from '../src/minting/minting.js';
import { startMintRelay, type MintRelay } from '../src/minting/relay.js';
import { createMintingService } from '../src/minting/service.js';
import { createUnmintedLists, type UnmintedLists } from '../src/minting/unminted.js';
import { showAnswers } from './answers.js';
import { defineNode, type Host } from './define-node.js';
import { asksFor, callerOf, operationOf, type Request } from './request.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
  url: string;
  timeoutMs: string;
  deadlineHours: string;
  repeatSeconds: string;
  repeatMaxSeconds: string;
  instance: string;
}

type Output = 'result' | 'refused' | 'minted' | 'unminted';

/** Hands readings over to a minting service, exactly once, and lists those that were not ([H-16]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'reading-mint',
    outputs: ['result', 'refused', 'minted', 'unminted'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const settings = settingsOf(config);
      const house: House = {
        lists: createUnmintedLists(database),
        minting: createMinting(database, {
          isSetUp: settings.url !== '',
          deadlineMs: settings.deadlineMs,
        }),
      };
      // A node that only lists sends nothing.
      const sends = settings.url !== '' && (config.operationType === 'msg' || config.operation === 'mint');
      const relay = sends ? relayOf(database, settings, host) : undefined;
      const answers = showAnswers(host);
      if (settings.url === '' && config.operation === 'mint')
        host.status('idle', 'off: no MINTING_URL is set');
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, () =>
            operation(house, asksFor(message), callerOf(message)),
          );
        },
        ...(relay === undefined
          ? {}
          : { deploys: { started: () => relay.resume(), stopping: () => relay.pause() } }),
        close: () => relay?.close(),
      };
    },
  });

  /** What ends before the flow is whole would leave through an output that leads nowhere. */
  function relayOf(database: Database, settings: Settings, host: Host<Output>): MintRelay {
    const relay = startMintRelay(database, createMintingService(settings), {
      ...settings,
      onMinted: (minted) =>
        host.emit({ minted: { _msgid: RED.util.generateId(), topic: 'minted', payload: minted } }),
      onUnminted: (unminted) =>
        host.emit({ unminted: { _msgid: RED.util.generateId(), topic: 'unminted', payload: unminted } }),
      onState: (reason) => (reason === null ? host.status('ok', 'ready') : host.status('warning', reason)),
    });
    relay.pause();
    return relay;
  }
}

interface House {
  readonly lists: UnmintedLists;
  readonly minting: Minting;
}

type Operation = (
  house: House,
  request: Request,
  caller: Caller,
) => Promise<{ readonly status: number; readonly payload: unknown }>;

const operations: Readonly<Record<string, Operation>> = {
  async mint({ minting }, { body }, caller) {
    const payload = await minting.request(body, caller);
    return { status: payload.state === 'minted' ? 200 : 202, payload };
  },
  unminted: async ({ lists }, { query }) => ({ status: 200, payload: await lists.readings(query) }),
  wallets: async ({ lists }, { query }) => ({ status: 200, payload: await lists.wallets(query) }),
  requests: async ({ minting }, { query }) => ({ status: 200, payload: await minting.list(query) }),
  request: async ({ minting }, { id }) => ({ status: 200, payload: await minting.one(id) }),
};

type Settings = ReturnType<typeof settingsOf>;

function settingsOf(config: Config) {
  const timeoutMs = numberSetting(config.timeoutMs, 10_000, { name: 'Timeout', min: 10, max: 600_000 });
  const hours = numberSetting(config.deadlineHours, 24, { name: 'Deadline', min: 0.001, max: 8760 });
  const firstMs = 1000 * seconds(config.repeatSeconds, 2, 'First repeat');
  return {
    url: textSetting(config.url, ''),
    timeoutMs,
    deadlineMs: hours * 3_600_000,
    instance: textSetting(config.instance, hostname()),
    backoff: {
      firstMs,
      mostMs: Math.max(firstMs, 1000 * seconds(config.repeatMaxSeconds, 300, 'Last repeat')),
    },
    // A request may ask first and send then.
    claimSeconds: (2 * timeoutMs) / 1000 + 10,
  };
}

function seconds(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 0.05, max: 86_400 });
}
