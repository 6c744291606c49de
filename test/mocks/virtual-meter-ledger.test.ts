import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { deliveries } from '../../src/broker/deliveries.js';
import { drawn } from '../../src/mocks/seeded.js';
import { eventually } from '../support/eventually.js';
import { startMeteredHouse, type MeteredHouse } from './metered-house.js';

/** Without a confirmation for so long the command is repeated. */
const repeatMs = 300;

/** No command is longer on its way, by the meter's clock: a busy machine slows that clock, not only the messages. */
const travelMaxMs = 2_000;

/**
 * A back end in small: applies each report once, answers later, commands what it knew when it began to, and repeats
 * that until it is confirmed.
 */
function keepLedger(house: MeteredHouse, late: () => number) {
  const known = new Set<number>();
  const sentAt = new Map<number, number>();
  let taken = 0;
  let timestamp = house.time;
  let confirmed = 0;
  const ledger = {
    balance: 0,
    commands: 0,
    running: true,
    command(): void {
      const { balance } = ledger;
      timestamp += 1;
      ledger.commands += 1;
      const claimed = timestamp;
      sentAt.set(claimed, house.time);
      setTimeout(() => {
        if (ledger.running && confirmed < claimed && claimed === timestamp) ledger.command();
      }, repeatMs);
      setTimeout(() => void house.command(balance / 10_000, claimed).catch(() => undefined), late());
    },
  };

  function judge(topic: string, payload: string): void {
    if (topic.endsWith('/balance/request')) return ledger.command();
    const report = JSON.parse(payload) as { unitsConsumed: number; timestamp: number };
    if (topic.endsWith('/balance')) confirmed = Math.max(confirmed, report.timestamp);
    if (!topic.endsWith('/consumption')) return;
    if (known.has(report.timestamp)) return;
    known.add(report.timestamp);
    ledger.balance -= Math.round(report.unitsConsumed * 10_000);
  }

  async function work(): Promise<void> {
    while (ledger.running) {
      for (const one of house.test.sink.deliveries.slice(taken)) {
        taken += 1;
        judge(one.topic, String(one.payload));
        setTimeout(() => deliveries.settle(one.delivery), late());
      }
      await delay(3);
    }
  }
  const working = work();
  return Object.assign(ledger, {
    /** A second passes, when every command that is due has arrived. */
    async second() {
      const isLate = (): boolean => {
        for (const command of house.commanded) sentAt.delete(command);
        return [...sentAt.values()].some((at) => house.time - at >= travelMaxMs);
      };
      await eventually(() => !isLate(), { intervalMs: 1 });
      house.time += 1_000;
    },
    async stop() {
      ledger.running = false;
      await working;
    },
  });
}

describe('A virtual prepaid meter and a ledger', () => {
  for (const seed of [1, 2, 3]) {
    it(`agree to the last 0.0001 kWh after payments, cuts, reboots and lost messages that cross (seed ${seed})`, async () => {
      const house = await startMeteredHouse();
      house.test.sink.settling = false;
      let draw = 0;
      const random = (): number => drawn(seed, 'test', (draw += 1));
      const ledger = keepLedger(house, () => random() * 20);
      try {
        const mishaps = { lost: 0.05, doubled: 0.1 };
        const meter = house.meter({ seed, prepaid: { reportSeconds: 3, lowUnits: 10_000, mishaps } });
        for (let step = 0; step < 300; step += 1) {
          await ledger.second();
          await delay(10);
          if (step % 20 === 0) {
            ledger.balance += 50 + Math.floor(random() * 200);
            ledger.command();
          }
          const chance = random();
          if (chance < 0.02) await meter.command('reboot');
          else if (chance < 0.05) await meter.command('cut');
          else if (chance < 0.2) await meter.command('restore');
        }
        await meter.command('restore');
        await meter.command('pause');
        await eventually(async () => {
          await ledger.second();
          const { balance, buffered, session_total } = meter.state;
          assert.deepEqual([balance, buffered], [ledger.balance / 10_000, 0]);
          assert.ok(session_total >= 0);
        });
        assert.ok(house.of('consumption').length > 20, 'it did consume');
        assert.ok(ledger.commands > 15);
      } finally {
        await house.close();
        await ledger.stop();
      }
    });
  }
});
