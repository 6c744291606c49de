import assert from 'node:assert/strict';
import { defaultReportLimits, judgeDelivery } from '../../src/balances/report-rules.js';

const now = Date.parse('2026-11-20T12:00:00Z');
const good = {
  meterNo: 'METER001',
  unitsConsumed: 0.0048,
  remainingBalance: 5.2452,
  totalConsumed: 0.0048,
  timestamp: now,
};

function judge(payload: unknown, limits = {}, topic = 'smartmeter/METER001/consumption') {
  const delivery = {
    delivery: 7,
    topic,
    pattern: 'smartmeter/+/consumption',
    qos: 1 as const,
    payload: typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
    received_at: now,
    device_id: 'id',
    meter_id: 'METER001',
    user_id: null,
  };
  return judgeDelivery(delivery, { ...defaultReportLimits, ...limits }, now);
}

describe('The rules of a consumption report [M-2]', () => {
  const valid: readonly [title: string, payload: unknown, is: object][] = [
    ['the original example', good, { units: 48, remaining: 52_452, total: 48, time: now }],
    ['its other balance', { ...good, remainingBalance: 10.4952 }, { remaining: 104_952 }],
    [
      'three fields',
      { meterNo: 'METER001', unitsConsumed: 0.05, remainingBalance: 10 },
      { units: 500, remaining: 100_000, total: null, time: null },
    ],
    [
      'null for what is missing',
      { ...good, totalConsumed: null, timestamp: null },
      { total: null, time: null },
    ],
    ['nothing consumed', { ...good, unitsConsumed: 0 }, { units: 0 }],
    ['the most', { ...good, unitsConsumed: 100 }, { units: 1_000_000 }],
    ['a negative balance', { ...good, remainingBalance: -0.5 }, { remaining: -5000 }],
    ['seconds', { ...good, timestamp: now / 1000 }, { time: now }],
    ['RFC 3339', { ...good, timestamp: '2026-11-20T15:00:00+03:00' }, { time: now }],
    [
      'the time of the original document',
      { ...good, timestamp: 1_698_765_432_000 },
      { time: 1_698_765_432_000 },
    ],
    ['5 minutes ahead', { ...good, timestamp: now + 300_000 }, { time: now + 300_000 }],
    ['more fields', { ...good, firmware: '1.2' }, { units: 48 }],
  ];
  for (const [title, payload, is] of valid) {
    it(`takes ${title}`, () => {
      const judged = judge(payload);
      assert.ok(!('code' in judged), JSON.stringify(judged));
      for (const [key, value] of Object.entries(is)) assert.equal(judged[key as 'units'], value, key);
    });
  }

  const refused: readonly [title: string, payload: unknown, code: string, reason: RegExp, limits?: object][] =
    [
      ['what is not JSON', '{"meterNo":', 'SCHEMA_INVALID', /JSON/],
      ['bytes that are no text', Buffer.from([0xff, 0xfe]), 'SCHEMA_INVALID', /UTF-8/],
      ['an array', [good], 'SCHEMA_INVALID', /object/],
      ['a text', '"hello"', 'SCHEMA_INVALID', /object/],
      ['null', 'null', 'SCHEMA_INVALID', /object/],
      ['no meterNo', { ...good, meterNo: undefined }, 'SCHEMA_INVALID', /meterNo/],
      ['no units', { ...good, unitsConsumed: undefined }, 'SCHEMA_INVALID', /unitsConsumed/],
      ['units as text', { ...good, unitsConsumed: '1' }, 'SCHEMA_INVALID', /unitsConsumed/],
      [
        'units beyond a float',
        '{"meterNo":"METER001","unitsConsumed":1e400,"remainingBalance":1}',
        'SCHEMA_INVALID',
        /unitsConsumed/,
      ],
      ['five decimals', { ...good, unitsConsumed: 0.00481 }, 'SCHEMA_INVALID', /4 decimals/],
      ['no balance', { ...good, remainingBalance: undefined }, 'SCHEMA_INVALID', /remainingBalance/],
      ['a counter as text', { ...good, totalConsumed: 'much' }, 'SCHEMA_INVALID', /totalConsumed/],
      ['a time that is none', { ...good, timestamp: 'yesterday' }, 'SCHEMA_INVALID', /timestamp/],
      ['negative units', { ...good, unitsConsumed: -0.0001 }, 'CONSUMPTION_OUT_OF_RANGE', /0 to 100/],
      ['too many units', { ...good, unitsConsumed: 100.0001 }, 'CONSUMPTION_OUT_OF_RANGE', /100\.0001/],
      ['another meter’s report', { ...good, meterNo: 'METER002' }, 'METER_MISMATCH', /METER002.*METER001/],
      ['a time too far ahead', { ...good, timestamp: now + 300_001 }, 'TIMESTAMP_OUT_OF_WINDOW', /ahead/],
      [
        'an old one where that is not wanted',
        { ...good, timestamp: now - 86_400_001 },
        'TIMESTAMP_OUT_OF_WINDOW',
        /1 days old/,
        { ageMaxDays: 1 },
      ],
    ];
  for (const [title, payload, code, reason, limits] of refused) {
    it(`refuses ${title} as ${code}`, () => {
      const judged = judge(payload, limits);
      assert.ok('code' in judged);
      assert.equal(judged.code, code);
      assert.match(judged.reason, reason);
      assert.equal(judged.delivery, 7);
    });
  }

  it('takes a meter’s drn for its name when the topic has it, too [M-12]', () => {
    const judged = judge({ ...good, meterNo: '09000030529' }, {}, 'smartmeter/09000030529/consumption');
    assert.ok(!('code' in judged));
    assert.equal(judged.meter_id, 'METER001');
  });
});
