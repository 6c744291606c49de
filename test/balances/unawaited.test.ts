import assert from 'node:assert/strict';
import { createUnawaited } from '../../src/balances/unawaited.js';
import { registry } from '../../src/operation/metrics.js';

const message = (delivery: number, pattern = 'smartmeter/+/consumption') => ({
  delivery,
  topic: 'smartmeter/M/consumption',
  pattern,
  qos: delivery === 0 ? (0 as const) : (1 as const),
  payload: '',
  received_at: 0,
  device_id: 'id',
  meter_id: 'M',
  user_id: null,
});

describe('Messages of QoS 0 while the database is away', () => {
  it('wait up to a bound; beyond it they are dropped and counted, and what is acknowledged never is', async () => {
    const unawaited = createUnawaited();
    const waiting = Array.from({ length: 20_000 }, () => message(0));
    const more = [message(0), message(7), message(0, 'devices/+/telemetry')];
    assert.equal(unawaited.admit(waiting).length, 20_000);
    unawaited.begin(waiting);
    assert.deepEqual(unawaited.admit(more), more.slice(1));
    assert.match(
      await registry.metrics(),
      /meterflow_unheard_messages_total\{topic="smartmeter\/\+\/consumption"\} 1/,
    );
    unawaited.end(waiting);
    assert.equal(unawaited.admit(more).length, 3);
  });
});
