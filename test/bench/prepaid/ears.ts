import mqtt, { type MqttClient } from 'mqtt';
import { addLatency, emptyLatencies, type LatencyCounts } from '../load/latency-histogram.js';
import type { MeterLogin } from '../load/publisher.js';

/** The meters' side of the balance commands: they listen, and confirm what they hear. */
export interface Ears {
  /** Money for this meter leaves now: the next command that says more than the one before is its. */
  expect(meterId: string): void;
  /** From `expect` to the command at the meter, ms; forgets what was measured. */
  take(): LatencyCounts;
  close(): Promise<void>;
}

interface Ear {
  readonly client: MqttClient;
  balance: number;
  expectedAt: number | undefined;
}

const connectAtOnce = 50;
/** Less than any payment of the bench buys, more than any report takes. */
const leastUnits = 0.3;

export async function openEars(port: number, logins: readonly MeterLogin[], initial: number): Promise<Ears> {
  const ears = new Map<string, Ear>();
  const latencies = emptyLatencies();
  const queue = [...logins];
  const inTurn = async (): Promise<void> => {
    for (let login = queue.pop(); login !== undefined; login = queue.pop()) await open(login);
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
    async close() {
      await Promise.all([...ears.values()].map(({ client }) => client.endAsync(true)));
    },
  };

  async function open({ meterId, user, password }: MeterLogin): Promise<void> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: `${meterId}-ear`,
      protocolVersion: 4,
      ...(user === undefined ? {} : { username: user }),
      ...(password === undefined ? {} : { password }),
    });
    const ear: Ear = { client, balance: initial, expectedAt: undefined };
    ears.set(meterId, ear);
    client.on('message', (_topic, payload) => hear(meterId, ear, payload));
    await client.subscribeAsync(`smartmeter/${meterId}/command/#`, { qos: 1 });
  }

  function hear(meterId: string, ear: Ear, payload: Buffer): void {
    const now = performance.now();
    const command = JSON.parse(payload.toString()) as { balance: number };
    if (ear.expectedAt !== undefined && command.balance > ear.balance + leastUnits) {
      addLatency(latencies, now - ear.expectedAt);
      ear.expectedAt = undefined;
    }
    ear.balance = command.balance;
    const confirmation = JSON.stringify({ meterNo: meterId, ...command });
    ear.client.publish(`smartmeter/${meterId}/balance`, confirmation, { qos: 0 });
  }
}
