import type { MqttClient } from 'mqtt';
import { createBalanceAsking } from './balance-asking.js';
import { fatesOf, type MishapRates } from './mishaps.js';
import { createPrepaid, type Prepaid, type PrepaidOptions } from './prepaid.js';
import {
  confirmationText,
  consumptionText,
  fourDecimals,
  parseBalanceCommand,
  statusText,
  topicsOf,
  type Status,
} from './prepaid-messages.js';
import type { Report } from './report-buffer.js';

export interface PrepaidProtocolOptions extends PrepaidOptions {
  readonly meterId: string;
  readonly seed: number;
  /** At or below it a meter says `low_balance`; in ten-thousandths of a unit. */
  readonly lowUnits: number;
  readonly mishaps: MishapRates;
  readonly now: () => number;
  readonly rssi: (now: number) => number;
  readonly log: (level: 'info' | 'debug' | 'warn', line: string) => void;
  /** Something that others may show has changed. */
  readonly changed: () => void;
}

/** What a prepaid meter says and hears on `smartmeter/{m}/…` ([M-2] to [M-6]). */
export interface PrepaidProtocol {
  readonly meter: Prepaid;
  readonly status: Status;
  connected(client: MqttClient): void;
  /** The client was ended: what was under way goes over the next one. */
  ended(): void;
  heard(topic: string, text: string): void;
  /** Deducts what the load drew until now, reports when it is time. Call it every second, and before the load changes. */
  tick(watts: number): void;
  /** Units of a token: they count at once, and are said on `status`. */
  credit(units: number): void;
  /** The back end has this meter's answer to the token. */
  credited(): void;
  /** The last report before the power goes. */
  finish(): void;
  reboot(): void;
}

/** Reports under way at once: replay after a night offline takes seconds, and stays below the broker's burst. */
const windowMax = 20;
const statusMs = 60_000;
/** A lost report has no acknowledgement; the firmware sends it again. */
const retryMs = 5_000;
/**
 * After a token reports wait for the back end's own word on the balance: one that came before the ledger has booked the
 * units would look like a drift, and be corrected by taking them away again. When no word comes they go out all the same.
 */
const holdMs = 10_000;
/** Without a balance for so long after a connect, the status says so. */
const patienceMs = 10_000;

export function createPrepaidProtocol(options: PrepaidProtocolOptions): PrepaidProtocol {
  const { meterId, now, log, changed } = options;
  const topics = topicsOf(meterId);
  const meter = createPrepaid(options, now());
  const asking = createBalanceAsking();
  const fate = fatesOf(options.seed, meterId, options.mishaps);
  let client: MqttClient | undefined;
  /** Why no command can come. */
  let refused: string | null = null;
  let connectedAt = now();
  let resumeAt = 0;
  let heldUntil = -Infinity;
  let saidStatus: string | undefined;
  let saidAt = -Infinity;
  let watts = 0;

  function statusNow(): Status {
    const { balance } = meter;
    if (refused !== null) return { status: 'error', message: refused };
    if (balance === null) return { status: 'error', message: 'Balance unknown, supply is off' };
    if (balance <= 0) return { status: 'low_balance', message: 'No balance, supply is off' };
    if (balance <= options.lowUnits) return { status: 'low_balance', message: 'Balance is low' };
    return { status: 'online', message: 'Device operating normally' };
  }

  function connected(through: MqttClient): void {
    client = through;
    connectedAt = now();
    resumeAt = 0;
    saidStatus = undefined;
    through.subscribe(topics.command, { qos: 1 }, (error: (Error & { code?: number }) | null) => {
      // Without the SUBACK's code it is the connection that went away.
      if (client !== through || (error !== null && error.code === undefined)) return;
      refused = error === null ? null : 'The broker refuses the subscription to commands';
      if (refused !== null) log('warn', refused);
      asking.connected(now());
      work();
    });
  }

  function heard(topic: string, text: string): void {
    if (topic !== topics.command) return;
    const copies = { lost: 0, arrives: 1, doubled: 2 }[fate()];
    for (let copy = 0; copy < copies; copy += 1) obey(text);
    work();
  }

  function obey(text: string): void {
    const command = parseBalanceCommand(text);
    if (typeof command === 'string') {
      log('warn', `Balance command refused: ${command}`);
      return;
    }
    // With the relay as it was until now.
    meter.measure(now(), watts);
    const before = meter.balance;
    const outcome = meter.take(command);
    if (outcome === 'old') {
      log('debug', `Balance command of ${command.timestamp} is overtaken`);
      return;
    }
    if (outcome === 'taken') {
      heldUntil = -Infinity;
      asking.taken(now(), meter.reports.unsure);
      // A payment has arrived; the rest are answers and corrections.
      const isMore = before !== null && meter.balance !== null && meter.balance > before;
      log(isMore ? 'info' : 'debug', `Balance updated: ${fourDecimals(command.balance)}`);
      changed();
    }
    say(topics.balance, confirmationText(meterId, command));
  }

  function tick(wattsNow: number): void {
    const before = meter.relay;
    meter.measure(now(), watts);
    watts = wattsNow;
    const isSwitchedOff = before === 'on' && meter.relay === 'off';
    const report = meter.close(now(), isSwitchedOff ? 'always' : 'due');
    if (report !== undefined) log('debug', `Consumption: ${fourDecimals(report.units)} kWh`);
    if (isSwitchedOff) changed();
    work();
  }

  /** Whatever is due goes out, while there is a connection. */
  function work(): void {
    if (client?.connected !== true) return;
    if (now() >= Math.max(resumeAt, heldUntil)) pump(client);
    if (asking.isDue(now(), meter.reports.unsure)) say(topics.request, '{}');
    sayStatus();
  }

  function pump(through: MqttClient): void {
    while (meter.reports.underWay < windowMax) {
      const report = meter.reports.next();
      if (report === undefined || !send(through, report)) return;
    }
  }

  /** False: it got lost, and nothing overtakes it. */
  function send(through: MqttClient, report: Report): boolean {
    const text = consumptionText(meterId, report);
    const copies = { lost: 0, arrives: 1, doubled: 2 }[fate()];
    if (copies === 0) {
      meter.reports.returned(report);
      resumeAt = now() + retryMs;
      return false;
    }
    through.publish(topics.consumption, text, { qos: 1 }, (error) => {
      // The client itself sends again after a reconnect.
      if (error || client !== through) return;
      meter.reports.acknowledged(report);
      asking.acknowledged(now());
      changed();
      work();
    });
    if (copies === 2) through.publish(topics.consumption, text, { qos: 1 }, () => undefined);
    return true;
  }

  function sayStatus(): void {
    const status = statusNow();
    if (meter.balance === null && refused === null && now() - connectedAt < patienceMs) return;
    const text = `${status.status} ${status.message}`;
    if (text === saidStatus && Math.abs(now() - saidAt) < statusMs) return;
    if (text !== saidStatus) log('debug', `Status: ${titles[status.status]}`);
    saidStatus = text;
    saidAt = now();
    const measured = { balance: meter.balance ?? 0, rssi: options.rssi(now()), timestamp: now() };
    say(topics.status, statusText(meterId, status, measured));
  }

  /** QoS 0, as the protocol has it for everything but reports. */
  function say(topic: string, text: string): void {
    const copies = { lost: 0, arrives: 1, doubled: 2 }[fate()];
    for (let copy = 0; copy < copies; copy += 1) client?.publish(topic, text, { qos: 0 });
  }

  return {
    meter,
    get status() {
      return statusNow();
    },
    connected,
    ended() {
      client = undefined;
      meter.reports.allReturned();
    },
    heard,
    tick,
    credit(units) {
      meter.measure(now(), watts);
      meter.credit(units);
      heldUntil = now() + holdMs;
      saidStatus = undefined;
      changed();
      work();
    },
    credited() {
      if (heldUntil > now()) heldUntil = now() + holdMs;
    },
    finish() {
      heldUntil = -Infinity;
      meter.measure(now(), watts);
      meter.close(now(), 'always');
      work();
    },
    reboot() {
      meter.measure(now(), watts);
      meter.close(now(), 'always');
      meter.reboot(now());
      saidStatus = undefined;
    },
  };
}

const titles: Record<Status['status'], string> = {
  online: 'Online',
  low_balance: 'Low balance',
  error: 'Error',
};
