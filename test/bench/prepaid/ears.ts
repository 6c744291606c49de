import mqtt, { type MqttClient } from 'mqtt';
import { addLatency, emptyLatencies, type LatencyCounts } from '../load/latency-histogram.js';
import type { MeterLogin } from '../load/publisher.js';
import { prepaidBalance, prepaidUnits } from '../load/reading-plan.js';

/** Prepaid meters as they behave: they listen, take over what they are told, confirm it, and report what they use. */
export interface Ears {
  /** Money for this meter leaves now: the next command that says more than the one before is its. */
  expect(meterId: string): void;
  /** From `expect` to the command at the meter, ms; forgets what was measured. */
  take(): LatencyCounts;
  /** `rate` reports a second by one meter after the other, every tenth twice; resolves when all are acknowledged. */
  report(rate: number, seconds: number): Promise<void>;
  /** What each meter reported so far, ten-thousandths of a unit. */
  used(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}

interface Ear {
  readonly meterId: string;
  readonly client: MqttClient;
  /** Ten-thousandths of a unit, as the last command and what was used since make it. */
  balance: number;
  commanded: number;
  used: number;
  expectedAt: number | undefined;
}

const connectAtOnce = 50;
/** Less than any payment of the bench buys, more than any report takes: ten-thousandths of a unit. */
const leastUnits = 3_000;
const tickMs = 2;

export async function openEars(port: number, logins: readonly MeterLogin[]): Promise<Ears> {
  const ears = new Map<string, Ear>();
  const latencies = emptyLatencies();
  const queue = [...logins];
  const inTurn = async (): Promise<void> => {
    for (let login = queue.pop(); login !== undefined; login = queue.pop()) {
      ears.set(login.meterId, await openEar(port, login, latencies));
    }
  };
  await Promise.all(Array.from({ length: connectAtOnce }, inTurn));
  return {
    expect(meterId) {
      const ear = ears.get(meterId);
      if (ear !== undefined) ear.expectedAt ??= performance.now();
    },
    take() {
      const taken = [...latencies];
      latencies.fill(0);
      for (const ear of ears.values()) ear.expectedAt = undefined;
      return taken;
    },
    report: (rate, seconds) => reportPaced([...ears.values()], rate, seconds),
    used: () => new Map([...ears].map(([meterId, { used }]) => [meterId, used])),
    async close() {
      await Promise.all([...ears.values()].map(({ client }) => client.endAsync(true)));
    },
  };
}

async function openEar(
  port: number,
  { meterId, user, password }: MeterLogin,
  latencies: Float64Array,
): Promise<Ear> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: `${meterId}-ear`,
    protocolVersion: 4,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
  });
  const ear: Ear = {
    meterId,
    client,
    balance: prepaidBalance,
    commanded: prepaidBalance,
    used: 0,
    expectedAt: undefined,
  };
  client.on('message', (_topic, payload) => hear(ear, payload, latencies));
  await client.subscribeAsync(`smartmeter/${meterId}/command/#`, { qos: 1 });
  return ear;
}

function hear(ear: Ear, payload: Buffer, latencies: Float64Array): void {
  const now = performance.now();
  const command = JSON.parse(payload.toString()) as { balance: number };
  const balance = Math.round(command.balance * 10_000);
  if (ear.expectedAt !== undefined && balance > ear.commanded + leastUnits) {
    addLatency(latencies, now - ear.expectedAt);
    ear.expectedAt = undefined;
  }
  ear.commanded = balance;
  ear.balance = balance;
  const confirmation = JSON.stringify({ meterNo: ear.meterId, ...command });
  ear.client.publish(`smartmeter/${ear.meterId}/balance`, confirmation, { qos: 0 });
}

async function reportPaced(ears: readonly Ear[], rate: number, seconds: number): Promise<void> {
  const started = performance.now();
  const total = Math.floor(rate * seconds);
  const under: Promise<unknown>[] = [];
  let sent = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const until = Math.min(total, Math.floor(((performance.now() - started) / 1_000) * rate));
      for (; sent < until; sent += 1) {
        const ear = ears[sent % ears.length];
        if (ear !== undefined) under.push(report(ear, sent % 10 === 9));
      }
      if (sent < total) return;
      clearInterval(timer);
      resolve();
    }, tickMs);
  });
  await Promise.all(under);
}

function report(ear: Ear, isTwice: boolean): Promise<unknown> {
  ear.balance -= prepaidUnits;
  ear.used += prepaidUnits;
  const payload = JSON.stringify({
    meterNo: ear.meterId,
    unitsConsumed: prepaidUnits / 10_000,
    remainingBalance: ear.balance / 10_000,
    totalConsumed: ear.used / 10_000,
    timestamp: Date.now(),
  });
  const topic = `smartmeter/${ear.meterId}/consumption`;
  const times = isTwice ? [1, 2] : [1];
  return Promise.all(times.map(() => ear.client.publishAsync(topic, payload, { qos: 1 })));
}
