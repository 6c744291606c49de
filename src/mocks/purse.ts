import type { MqttClient } from 'mqtt';
import type { MishapRates } from './mishaps.js';
import type { Prepaid } from './prepaid.js';
import type { Status } from './prepaid-messages.js';
import { createPrepaidProtocol } from './prepaid-protocol.js';
import { createTokenProtocol } from './virtual-token-protocol.js';
import { usualTokenRates, type TokenRates } from './virtual-token.js';

export interface PrepaidSettings {
  /** Between two consumption reports. */
  readonly reportSeconds: number;
  /** At or below it the status is `low_balance`; in ten-thousandths of a unit. */
  readonly lowUnits: number;
  readonly mishaps: MishapRates;
  /** What becomes of tokens; absent: all go well. */
  readonly tokens?: TokenSettings | undefined;
}

export interface TokenSettings extends TokenRates {
  /** How long a late answer takes. */
  readonly lateMs: number;
}

export interface PurseOptions extends PrepaidSettings {
  readonly meterId: string;
  readonly drn: string | undefined;
  readonly seed: number;
  /** Unix ms. */
  readonly now: () => number;
  readonly rssi: (now: number) => number;
  readonly log: (level: 'info' | 'debug' | 'warn', line: string) => void;
  readonly changed: () => void;
}

/** What makes a meter a prepaid one: a balance that payments and tokens raise and its load lowers. */
export interface Purse {
  readonly meter: Prepaid;
  readonly status: Status;
  connected(client: MqttClient): void;
  ended(): void;
  heard(topic: string, text: string): void;
  /** As of PrepaidProtocol: every second, and before the load changes. */
  tick(watts: number): void;
  /** The power goes: the last report, and no late answers. */
  finish(): void;
  reboot(): void;
  /** Reports and answers that are not yet acknowledged. */
  readonly underWay: number;
}

/** A day of reports every 30 s. */
const reportsMax = 2_880;
/** Longer than an answer is awaited by default, so that it completes the record afterwards. */
const usualLateMs = 45_000;

export function createPurse(options: PurseOptions): Purse {
  const { meterId, drn, seed, now, log, changed } = options;
  const { lateMs, ...rates } = options.tokens ?? { ...usualTokenRates, lateMs: usualLateMs };
  const balance = createPrepaidProtocol({ ...options, reportsMax });
  const tokens = createTokenProtocol({
    meterId,
    drn,
    seed,
    rates,
    lateMs,
    now,
    log,
    credit: (units) => balance.credit(units),
    answered() {
      balance.credited();
      changed();
    },
  });
  return {
    meter: balance.meter,
    get status() {
      return balance.status;
    },
    connected(client) {
      balance.connected(client);
      tokens.connected(client);
    },
    ended() {
      balance.ended();
      tokens.ended();
    },
    heard(topic, text) {
      balance.heard(topic, text);
      tokens.heard(topic, text);
    },
    tick: (watts) => balance.tick(watts),
    finish() {
      tokens.stop();
      balance.finish();
    },
    reboot: () => balance.reboot(),
    get underWay() {
      return balance.meter.reports.size + tokens.underWay;
    },
  };
}
