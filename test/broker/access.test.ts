import assert from 'node:assert/strict';

import { type Principal, classify, covers, mayPublish, maySubscribe } from '../../src/devices/access.js';
import { device } from '../support/broker.js';

describe('Access [M-12]', () => {
  const meter = device('METER001', '09000030529');
  const account: Principal = {
    kind: 'account',
    user: 'backend',
    may_read: ['meters/+/#', 'energy/events/#'],
    may_write: ['devices/+/command/#', '#'],
  };

  const up: [string, string, string, string][] = [
    ['meters/METER001/readings', 'reading', 'meters/+/readings', 'meters/+/readings'],
    ['meters/09000030529/readings.pb', 'reading', 'meters/+/readings.pb', 'meters/+/readings.pb'],
    ['meters/METER001/token/response', 'message', 'meters/+/token/response', 'meters/+/token/response'],
    [
      'smartmeter/METER001/balance/request',
      'message',
      'smartmeter/+/balance/request',
      'smartmeter/+/balance/request',
    ],
    ['devices/id-METER001/telemetry', 'message', 'devices/+/telemetry', 'devices/+/telemetry'],
    ['devices/id-METER001/any/thing', 'message', 'devices/+/any/thing', 'devices/+/#'],
    ['devices/id-METER001/commander', 'message', 'devices/+/commander', 'devices/+/#'],
  ];
  for (const [topic, kind, pattern, label] of up) {
    it(`lets a device publish ${topic}`, () => {
      assert.deepEqual(classify(meter, topic), { kind, pattern, label });
    });
  }

  for (const topic of [
    'meters/METER002/readings',
    'meters/id-METER001/readings',
    'meters/METER001/command/token',
    'meters/METER001',
    'devices/METER001/telemetry',
    'devices/id-METER001/command',
    'devices/id-METER001/command/on',
    'smartmeter/METER001/constructor',
    '$SYS/broker',
    'meters',
    '',
  ]) {
    it(`denies a device '${topic}'`, () => assert.equal(mayPublish(meter, topic), false));
  }

  it('never lets an account write under $SYS, whatever its filters say', () => {
    assert.equal(mayPublish({ ...account, may_write: ['#', '$SYS/#'] }, '$SYS/x'), false);
    assert.equal(mayPublish(account, 'anything'), true);
  });

  it('lets an account read what its filters cover as a whole', () => {
    assert.equal(maySubscribe(account, 'meters/+/readings'), true);
    assert.equal(maySubscribe(account, 'meters/#'), false);
    assert.equal(maySubscribe(account, '#'), false);
    assert.equal(maySubscribe(account, 'energy/events/#'), true);
  });

  const coverage: [string, string, boolean][] = [
    ['#', 'a/b', true],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['a/#', 'a', true],
    ['a/+/#', 'a/b', true],
    ['a/+/#', 'a', false],
    ['a/+', 'a/#', false],
    ['a/+', 'a/+', true],
    ['a/b', 'a/+', false],
    ['a/+/c', 'a/b/c', true],
    ['a/b', 'a/b/c', false],
    ['a//b', 'a//b', true],
  ];
  for (const [allowed, filter, expected] of coverage) {
    it(`${allowed} ${expected ? 'covers' : 'does not cover'} ${filter}`, () => {
      assert.equal(covers(allowed, filter), expected);
    });
  }
});
