import assert from 'node:assert/strict';
import { deliveries } from '../../src/broker/deliveries.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Firmware } from '../support/firmware.js';

const holdMinMs = 2_500;

/** A meter whose readings a store takes on and cannot commit, as in an outage that lasts. */
describe('A hold that lasts [M-13]', function () {
  this.timeout(20_000);
  let test: TestBroker;
  let meter: Firmware;
  let holding: NodeJS.Timeout;

  before(async () => {
    test = await startTestBroker({ holdMinMs });
    holding = setInterval(
      () => test.sink.deliveries.forEach(({ delivery }) => deliveries.hold(delivery)),
      20,
    );
  });
  after(async () => {
    clearInterval(holding);
    meter?.end();
    test.sink.settleAll();
    await test.broker.close({ drainMs: 0 });
  });

  it('costs a meter with a short keep-alive one reconnect per holdMinMs, not one per 1.5 × keep-alive', async () => {
    const { user, password } = as('METER001');
    meter = new Firmware({ port: test.port, user, password, keepAlive: 1, needsAnswers: true });
    meter.publish('meters/METER001/readings', '{}');
    await eventually(() => assert.equal(test.sink.deliveries.length, 1));
    const begun = Date.now();
    await eventually(() => assert.equal(meter.connects, 2));
    assert.ok(Date.now() - begun >= holdMinMs, 'the broker answers its pings, and holds on');
    assert.equal(test.sink.of('disconnected')[0]?.reason, 'hold outlasted the keep-alive');
    const again = Date.now();
    await eventually(() => assert.equal(meter.connects, 3));
    assert.ok(Date.now() - again >= holdMinMs, 'the new hold is as long');
    await eventually(() => assert.equal(test.sink.deliveries.length, 3));
    test.sink.settleAll();
    await eventually(() => assert.equal(meter.unacknowledged, 0));
    assert.equal(meter.connects, 3);
  });
});
