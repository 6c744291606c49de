import assert from 'node:assert/strict';
import type { Delivery } from '../../src/broker/delivery.js';
import { isDomainError } from '../../src/errors.js';
import type { Reading, Rejection } from '../../src/readings/reading.js';
import { createValidator } from '../../src/readings/validate.js';

const now = Date.UTC(2026, 10, 20, 12);
const dayMs = 86_400_000;
const validator = createValidator({ now: () => now });

describe('the validator of readings', () => {
  it('makes a reading of a message, in ten-thousandths and milliseconds', () => {
    const payload = '{"kwh_amount":1.25,"reading_timestamp":"2026-11-20T12:00:00Z","firmware":{"x":1}}';
    const { valid, rejected, splits } = validator.validate([delivery(payload)]);
    assert.deepEqual(rejected, []);
    assert.deepEqual(splits, []);
    assert.deepEqual(valid, [
      {
        delivery: 7,
        part: 0,
        meter_id: 'METER001',
        device_id: 'dev-1',
        user_id: null,
        energy: 12_500,
        time: now,
        signature: null,
        source: 'mqtt',
        received_at: now,
        topic: 'meters/METER001/readings',
        qos: 1,
        payload,
      },
    ]);
  });

  const limits: [input: string, outcome: string][] = [
    ['{"kwh_amount":0,"reading_timestamp":NOW}', 'KWH_OUT_OF_RANGE'],
    ['{"kwh_amount":-0.0,"reading_timestamp":NOW}', 'KWH_OUT_OF_RANGE'],
    ['{"kwh_amount":-1.5,"reading_timestamp":NOW}', 'KWH_OUT_OF_RANGE'],
    ['{"kwh_amount":0.0001,"reading_timestamp":NOW}', 'valid'],
    ['{"kwh_amount":0.00001,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1.23456,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1.00000,"reading_timestamp":NOW}', 'valid'],
    ['{"kwh_amount":1e0,"reading_timestamp":NOW}', 'valid'],
    ['{"kwh_amount":99.9999,"reading_timestamp":NOW}', 'valid'],
    ['{"kwh_amount":100,"reading_timestamp":NOW}', 'valid'],
    ['{"kwh_amount":100.0001,"reading_timestamp":NOW}', 'KWH_OUT_OF_RANGE'],
    ['{"kwh_amount":100.00001,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1e300,"reading_timestamp":NOW}', 'KWH_OUT_OF_RANGE'],
    ['{"kwh_amount":1e400,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":5e-324,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":"1.0","reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":true,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":null,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":[1],"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":null}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":NaN}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":1795176000.5}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":"2026-11-20"}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":1e300}', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":0}', 'TIMESTAMP_OUT_OF_WINDOW'],
    ['{"kwh_amount":1,"reading_timestamp":-1795176000}', 'TIMESTAMP_OUT_OF_WINDOW'],
    [`{"kwh_amount":1,"reading_timestamp":${now / 1000}}`, 'valid'],
    [`{"kwh_amount":1,"reading_timestamp":${now - 7 * dayMs}}`, 'valid'],
    [`{"kwh_amount":1,"reading_timestamp":${now - 7 * dayMs + 1}}`, 'valid'],
    [`{"kwh_amount":1,"reading_timestamp":${now - 7 * dayMs - 1}}`, 'TIMESTAMP_OUT_OF_WINDOW'],
    [`{"kwh_amount":1,"reading_timestamp":${now + 300_000}}`, 'valid'],
    [`{"kwh_amount":1,"reading_timestamp":${now + 300_000 - 1}}`, 'valid'],
    [`{"kwh_amount":1,"reading_timestamp":${now + 300_000 + 1}}`, 'TIMESTAMP_OUT_OF_WINDOW'],
    ['{"meter_id":"METER001","kwh_amount":1,"reading_timestamp":NOW}', 'valid'],
    ['{"meter_id":"09000030529","kwh_amount":1,"reading_timestamp":NOW}', 'METER_MISMATCH'],
    ['{"meter_id":"METER002","kwh_amount":1,"reading_timestamp":NOW}', 'METER_MISMATCH'],
    ['{"meter_id":"meter001","kwh_amount":1,"reading_timestamp":NOW}', 'METER_MISMATCH'],
    ['{"meter_id":"a b","kwh_amount":1,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"meter_id":1,"kwh_amount":1,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"device_signature":"ab","kwh_amount":1,"reading_timestamp":NOW}', 'valid'],
    ['{"device_signature":1,"kwh_amount":1,"reading_timestamp":NOW}', 'SCHEMA_INVALID'],
    ['{"__proto__":{"kwh_amount":1,"reading_timestamp":NOW}}', 'SCHEMA_INVALID'],
    ['{"__proto__":{"meter_id":"METER002"},"kwh_amount":1,"reading_timestamp":NOW}', 'valid'],
    ['{"constructor":1,"toString":2,"kwh_amount":1,"reading_timestamp":NOW}', 'valid'],
    ['', 'SCHEMA_INVALID'],
    ['{', 'SCHEMA_INVALID'],
    ['1.25', 'SCHEMA_INVALID'],
    ['null', 'SCHEMA_INVALID'],
    ['"x"', 'SCHEMA_INVALID'],
    ['[]', 'SCHEMA_INVALID'],
    ['[[]]', 'SCHEMA_INVALID'],
    ['{"kwh_amount":1,"reading_timestamp":NOW}{}', 'SCHEMA_INVALID'],
  ];
  for (const [input, expected] of limits) {
    it(`finds ${input} ${expected}`, () => {
      const { valid, rejected } = validator.validate([delivery(input.replace('NOW', String(now)))]);
      assert.equal(valid.length + rejected.length, 1);
      assert.equal(rejected[0]?.code ?? 'valid', expected, rejected[0]?.reason);
      if (rejected[0]) assert.match(rejected[0].reason, /^\S.*\.$/);
    });
  }

  it('takes the drn in the payload when the topic names the meter by it [M-12]', () => {
    const payload = `{"meter_id":"09000030529","kwh_amount":1,"reading_timestamp":${now}}`;
    const { valid } = validator.validate([{ ...delivery(payload), topic: 'meters/09000030529/readings' }]);
    assert.equal(valid[0]?.meter_id, 'METER001');
  });

  it('takes bytes that are UTF-8 and refuses others, keeping them', () => {
    const good = Buffer.from(`{"kwh_amount":1,"reading_timestamp":${now}}`);
    assert.equal(validator.validate([delivery(good)]).valid.length, 1);
    const bad = Buffer.from([0x7b, 0xff, 0x7d]);
    const { rejected } = validator.validate([delivery(bad)]);
    assert.equal(rejected[0]?.code, 'SCHEMA_INVALID');
    assert.equal(rejected[0]?.payload, bad);
  });

  it('judges each of 480 readings of one message, and shows the wrong ones as they came', () => {
    const texts = Array.from({ length: 480 }, (_, index) => {
      const time = now - index * 900_000;
      if (index % 10 === 3) return `{"kwh_amount": 1e400, "reading_timestamp":${time}, "note":"]},[\\"\\\\"}`;
      if (index % 10 === 7) return `{"kwh_amount":${index},"reading_timestamp":${time}}`;
      return `{"kwh_amount":1.5,"reading_timestamp":${time}}`;
    });
    const { valid, rejected, splits } = validator.validate([delivery(`\n [${texts.join(' ,\n')}] `)]);
    assert.deepEqual(splits, [{ delivery: 7, parts: 480 }]);
    const wrong = texts.flatMap((text, part) =>
      part % 10 === 3
        ? [[part, 'SCHEMA_INVALID', text]]
        : part % 10 === 7 && part > 100
          ? [[part, 'KWH_OUT_OF_RANGE', text]]
          : [],
    );
    assert.deepEqual(
      rejected.map(({ part, code, payload }) => [part, code, payload]),
      wrong,
    );
    assert.equal(valid.length, 480 - wrong.length);
    const parts = [...valid, ...rejected].map(({ part }) => part).toSorted((a, b) => a - b);
    assert.deepEqual(
      parts,
      Array.from({ length: 480 }, (_, index) => index),
    );
  });

  it('takes arrays of 1 to 1,000 readings and does not split what needs no splitting', () => {
    const one = `{"kwh_amount":1,"reading_timestamp":${now}}`;
    const array = (count: number): string => `[${Array.from({ length: count }, () => one).join()}]`;
    assert.deepEqual(validator.validate([delivery(array(1))]).splits, []);
    assert.deepEqual(validator.validate([{ ...delivery(array(2)), delivery: 0, qos: 0 }]).splits, []);
    assert.equal(validator.validate([delivery(array(1000))]).valid.length, 1000);
    const { valid, rejected } = validator.validate([delivery(array(1001))]);
    assert.equal(valid.length, 0);
    assert.deepEqual([rejected.length, rejected[0]?.code], [1, 'SCHEMA_INVALID']);
  });

  it('survives a payload of a hundred thousand brackets', () => {
    for (const payload of [
      '['.repeat(100_000),
      '['.repeat(100_000) + ']'.repeat(100_000),
      '{"a":'.repeat(50_000),
    ]) {
      const { rejected } = validator.validate([delivery(payload)]);
      assert.equal(rejected.length, 1);
      assert.equal(typeof rejected[0]?.payload, 'string');
    }
  });

  it('accounts for every message of random rubbish [M-14]', () => {
    const seeds = [
      '{"kwh_amount":1.25,"reading_timestamp":1795176000}',
      '[{"kwh_amount":1,"reading_timestamp":1795176000}]',
    ];
    for (let round = 0; round < 5_000; round++) {
      const text = (seeds[round % 2] ?? '').split('');
      for (let cut = 0; cut < 3; cut++) {
        text.splice(
          Math.floor(Math.random() * text.length),
          1,
          String.fromCharCode(Math.floor(Math.random() * 128)),
        );
      }
      const { valid, rejected } = validator.validate([delivery(text.join(''))]);
      assert.equal(valid.length + rejected.length, 1, text.join(''));
    }
  });

  it('keeps every amount of four decimals exact and refuses the fifth', () => {
    for (let round = 0; round < 20_000; round++) {
      const energy = 1 + Math.floor(Math.random() * 1_000_000);
      const text = `${Math.floor(energy / 10_000)}.${String(energy % 10_000).padStart(4, '0')}`;
      assert.equal(energyOf(text), energy, text);
      const fifth = `${text}${1 + Math.floor(Math.random() * 9)}`;
      assert.equal(energyOf(fifth), 'SCHEMA_INVALID', fifth);
    }
  });

  it('applies changed limits, edges included', () => {
    const strict = createValidator({
      limits: { kwhMax: 0.5, ageMaxDays: 1, aheadMaxMinutes: 0 },
      now: () => now,
    });
    const outcome = (kwh: number, time: number): string => {
      const payload = JSON.stringify({ kwh_amount: kwh, reading_timestamp: time });
      return strict.validate([delivery(payload)]).rejected[0]?.code ?? 'valid';
    };
    assert.equal(outcome(0.5, now), 'valid');
    assert.equal(outcome(0.5001, now), 'KWH_OUT_OF_RANGE');
    assert.equal(outcome(0.1, now + 1), 'TIMESTAMP_OUT_OF_WINDOW');
    assert.equal(outcome(0.1, now - dayMs), 'valid');
    assert.equal(outcome(0.1, now - dayMs - 1), 'TIMESTAMP_OUT_OF_WINDOW');
  });

  for (const $schema of [
    undefined,
    'http://json-schema.org/draft-07/schema#',
    'https://json-schema.org/draft/2020-12/schema',
  ]) {
    it(`applies the integrator's own schema of ${$schema ?? 'no stated dialect'}`, () => {
      const schema = {
        ...($schema && { $schema }),
        type: 'object',
        required: ['phase'],
        properties: { phase: { enum: [1, 3] } },
      };
      const own = createValidator({ schema, now: () => now });
      const outcome = (phase: unknown): Rejection | undefined =>
        own.validate([delivery(JSON.stringify({ kwh_amount: 1, reading_timestamp: now, phase }))])
          .rejected[0];
      assert.equal(outcome(3), undefined);
      assert.equal(outcome(2)?.code, 'SCHEMA_INVALID');
      assert.match(outcome(undefined)?.reason ?? '', /phase/);
    });
  }

  it('refuses limits and schemas that cannot be used, by name', () => {
    assert.throws(() => createValidator({ limits: { kwhMax: NaN } }), isConfiguration);
    assert.throws(() => createValidator({ limits: { ageMaxDays: -1 } }), isConfiguration);
    assert.throws(() => createValidator({ schema: { type: 'meter' } }), isConfiguration);
    assert.throws(() => createValidator({ schema: { typ: 'object' } }), isConfiguration);
  });
});

describe('the validator of one reading outside MQTT [H-6]', () => {
  const context = { source: 'http', received_at: now } as const;

  it('takes the meter from the reading', () => {
    const input = { meter_id: 'METER001', kwh_amount: 1.25, reading_timestamp: '2026-11-20T12:00:00Z' };
    const result = validator.validateOne(input, { ...context, user_id: 'u' });
    assert.deepEqual(
      [result.meter_id, energyIn(result), 'user_id' in result && result.user_id],
      ['METER001', 12_500, 'u'],
    );
  });

  it('takes the meter from the caller, who may name it by its drn', () => {
    const input = { kwh_amount: 1.25, reading_timestamp: now };
    assert.equal(energyIn(validator.validateOne(input, { ...context, meter_id: 'METER001' })), 12_500);
  });

  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  const refused: [what: string, input: unknown, code: string][] = [
    ['nothing', undefined, 'SCHEMA_INVALID'],
    ['a circle', circular, 'SCHEMA_INVALID'],
    ['a reading of no meter', { kwh_amount: 1, reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['NaN', { meter_id: 'M', kwh_amount: NaN, reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['too much energy', { meter_id: 'M', kwh_amount: 101, reading_timestamp: now }, 'KWH_OUT_OF_RANGE'],
  ];
  for (const [what, input, code] of refused) {
    it(`refuses ${what}`, () => {
      const result = validator.validateOne(input, context);
      assert.equal('code' in result && result.code, code);
    });
  }

  it("refuses a reading that names another meter than the caller's", () => {
    const input = { meter_id: 'METER002', kwh_amount: 1, reading_timestamp: now };
    const result = validator.validateOne(input, { ...context, meter_id: 'METER001' });
    assert.equal('code' in result && result.code, 'METER_MISMATCH');
  });
});

function delivery(payload: string | Buffer): Delivery {
  return {
    delivery: 7,
    topic: 'meters/METER001/readings',
    pattern: 'meters/+/readings',
    qos: 1,
    payload,
    received_at: now,
    device_id: 'dev-1',
    meter_id: 'METER001',
    user_id: null,
  };
}

function energyOf(kwh: string): number | string {
  const { valid, rejected } = validator.validate([
    delivery(`{"kwh_amount":${kwh},"reading_timestamp":${now}}`),
  ]);
  return valid[0]?.energy ?? rejected[0]?.code ?? 'none';
}

function energyIn(result: Reading | Rejection): number | string {
  return 'code' in result ? result.reason : result.energy;
}

function isConfiguration(error: unknown): boolean {
  return isDomainError(error) && error.code === 'CONFIGURATION';
}
