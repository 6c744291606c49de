import assert from 'node:assert/strict';

import type { MemoryDirectory } from '../../src/broker/memory-directory.js';
import { type TestBroker, as, startTestBroker, testDirectory } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Wire, connack, connectPacket, packet, subscribePacket, u16 } from '../support/mqtt-wire.js';

/** Well below the second after which the broker no longer waits for its engine to let go of a client. */
const soonMs = 500;

/** A meter that lost its network comes again while its old connection, or an earlier attempt, is still there. */
describe('A client id that is taken over while logins wait for the registry [MQTT-3.1.4-2]', () => {
  let test: TestBroker;
  let asked = 0;
  /** What the registry holds back; null: it answers at once. */
  let held: (() => void)[] | null;

  beforeEach(async () => {
    asked = 0;
    held = null;
    const registry = testDirectory();
    const directory: MemoryDirectory = {
      ...registry,
      async authenticate(user, password) {
        asked += 1;
        const queue = held;
        if (queue !== null) await new Promise<void>((answer) => queue.push(answer));
        return registry.authenticate(user, password);
      },
    };
    test = await startTestBroker({}, { directory });
  });

  afterEach(() => test.broker.close({ drainMs: 0 }));

  /** Logins that all get the registry's answer in the same instant, in this order. */
  async function together(count: number): Promise<Wire[]> {
    held = [];
    const before = asked;
    const wires: Wire[] = [];
    for (let n = 1; n <= count; n++) {
      const wire = await Wire.open(test.port);
      wire.send(connectPacket(as('METER001')));
      await eventually(() => asked === before + n);
      wires.push(wire);
    }
    const answers = held;
    held = null;
    for (const answer of answers) answer();
    return wires;
  }

  async function answeredSoon(wire: Wire | undefined, since: number): Promise<void> {
    await wire?.expect(connack(0));
    const ms = performance.now() - since;
    assert.ok(ms < soonMs, `CONNACK after ${Math.round(ms)} ms`);
  }

  it('lets the second of two attempts in at once, though the first never came as far as a session', async () => {
    const wires = await together(2);
    const since = performance.now();
    await answeredSoon(wires.pop(), since);
    for (const wire of wires) await wire.expectClosed();
    assert.equal(test.broker.stats().clients, 1);
  });

  it('lets the last of several in when the old connection has subscriptions, and the next after it', async () => {
    const old = await Wire.login(test.port, as('METER001'));
    old.send(subscribePacket(1, ['meters/METER001/command/#', 1], ['smartmeter/METER001/command/#', 1]));
    await old.expect(packet(0x90, u16(1), 1, 1));
    const wires = await together(3);
    const last = wires.pop();
    await answeredSoon(last, performance.now());
    for (const wire of [old, ...wires]) await wire.expectClosed();

    // The engine still knows it, or it could not say that it has let go of it.
    const since = performance.now();
    const next = await Wire.open(test.port);
    next.send(connectPacket(as('METER001')));
    await answeredSoon(next, since);
    await last?.expectClosed();
    assert.equal(test.broker.stats().clients, 1);
  });
});
