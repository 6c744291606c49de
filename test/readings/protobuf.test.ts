import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import protobuf from 'protobufjs';
import type { Delivery } from '../../src/broker/delivery.js';
import { readingType } from '../../src/readings/protobuf.js';
import { createValidator } from '../../src/readings/validate.js';

const root = resolve(__dirname, '../..');
const schemaFile = join(root, 'src/readings/readings.proto');
const schema = new protobuf.Root().loadSync(schemaFile, { keepCase: true });
const Reading = schema.lookupType('meterflow.Reading');
const ReadingBatch = schema.lookupType('meterflow.ReadingBatch');

const now = Date.UTC(2026, 10, 20, 12);
const validator = createValidator({ now: () => now });

describe('readings in Protobuf [M-9]', () => {
  it('have the fields of the schema file that is shipped', () => {
    assert.deepEqual(shapeOf(readingType()), shapeOf(Reading));
    assert.deepEqual(shapeOf(ReadingBatch), [{ id: 1, name: 'readings', type: 'Reading', repeated: true }]);
  });

  const singles: [what: string, fields: object, outcome: string][] = [
    ['a reading', { kwh_amount: 1.25, reading_timestamp: now }, 'valid'],
    ['whole seconds', { kwh_amount: 1.25, reading_timestamp: now / 1000 }, 'valid'],
    ['the meter of the topic', { meter_id: 'METER001', kwh_amount: 1, reading_timestamp: now }, 'valid'],
    ['another meter', { meter_id: 'METER002', kwh_amount: 1, reading_timestamp: now }, 'METER_MISMATCH'],
    ['a signature', { kwh_amount: 1, reading_timestamp: now, device_signature: 'ab' }, 'valid'],
    ['nothing', {}, 'SCHEMA_INVALID'],
    ['no energy', { reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['no time', { kwh_amount: 1 }, 'SCHEMA_INVALID'],
    ['no energy flow', { kwh_amount: 0, reading_timestamp: now }, 'KWH_OUT_OF_RANGE'],
    ['a five-decimal energy', { kwh_amount: 1.00001, reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['an energy that is not a number', { kwh_amount: NaN, reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['endless energy', { kwh_amount: Infinity, reading_timestamp: now }, 'SCHEMA_INVALID'],
    ['eight days ago', { kwh_amount: 1, reading_timestamp: now - 8 * 86_400_000 }, 'TIMESTAMP_OUT_OF_WINDOW'],
    ['a negative time', { kwh_amount: 1, reading_timestamp: -1 }, 'TIMESTAMP_OUT_OF_WINDOW'],
  ];
  for (const [what, fields, outcome] of singles) {
    it(`${what}: ${outcome}`, () => assert.deepEqual(outcomesOf(encode(fields)), [outcome]));
  }

  it('are the same readings as in JSON', () => {
    const fields = { kwh_amount: 99.9999, reading_timestamp: now };
    const [binary] = validator.validate([delivery(encode(fields))]).valid;
    const [text] = validator.validate([delivery(Buffer.from(JSON.stringify(fields)), 'readings')]).valid;
    assert.deepEqual([binary?.energy, binary?.time], [text?.energy, text?.time]);
  });

  it('come as one or many; each of many has its outcome, also beside one that is broken', () => {
    const broken = Buffer.from([0x19, 1, 2]); // a double of two bytes
    const parts = [
      encode({ kwh_amount: 1, reading_timestamp: now }),
      broken,
      encode({ kwh_amount: 500, reading_timestamp: now }),
      Buffer.alloc(0),
      encode({ kwh_amount: 2, reading_timestamp: now - 900_000 }),
    ];
    const { valid, rejected, splits } = validator.validate([delivery(batch(parts))]);
    assert.deepEqual(splits, [{ delivery: 7, parts: 5 }]);
    assert.deepEqual(
      valid.map(({ part, energy }) => [part, energy]),
      [
        [0, 10_000],
        [4, 20_000],
      ],
    );
    assert.deepEqual(
      rejected.map(({ part, code }) => [part, code]),
      [
        [1, 'SCHEMA_INVALID'],
        [2, 'KWH_OUT_OF_RANGE'],
        [3, 'SCHEMA_INVALID'],
      ],
    );
    // What quarantine keeps of a part is a message of its own.
    assert.deepEqual(rejected[1]?.payload, parts[2]);
    assert.deepEqual(outcomesOf(rejected[1]?.payload as Buffer), ['KWH_OUT_OF_RANGE']);
  });

  const wholes: [what: string, payload: Buffer, reason: RegExp][] = [
    ['JSON', Buffer.from('{"kwh_amount":1}'), /Protobuf|required/],
    ['random bytes', Buffer.from('ffffffffffffffffffff', 'hex'), /not Protobuf/],
    ['a length beyond the end', Buffer.from([0x0a, 200, 1, 0]), /not Protobuf/],
    ['a length of four gigabytes', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), /not Protobuf/],
    ['field 0', Buffer.from([0x00, 0x00]), /not Protobuf/],
    ['a group without an end', Buffer.from([0x3b]), /not Protobuf/],
    ['groups without end, deep', Buffer.alloc(100_000, 0x3b), /not Protobuf/],
    ['nothing', Buffer.alloc(0), /required/],
    ['1,001 readings', batch(Array(1001).fill(Buffer.alloc(0)) as Buffer[]), /1001 readings/],
    [
      'a reading and a batch at once',
      Buffer.concat([encode({ kwh_amount: 1, reading_timestamp: now }), batch([Buffer.alloc(0)])]),
      /at once/,
    ],
  ];
  for (const [what, payload, reason] of wholes) {
    it(`refuses ${what} as a whole, with the bytes as they came`, () => {
      const { valid, rejected } = validator.validate([delivery(payload)]);
      assert.deepEqual([valid.length, rejected.length], [0, 1]);
      assert.equal(rejected[0]?.code, 'SCHEMA_INVALID');
      assert.match(rejected[0]?.reason ?? '', reason);
      assert.deepEqual(rejected[0]?.payload, payload);
    });
  }

  it('ignores fields that a later schema may bring', () => {
    const later = Buffer.concat([
      encode({ kwh_amount: 1, reading_timestamp: now }),
      Buffer.from([0xfa, 0x07, 3, 1, 2, 3]),
    ]);
    assert.deepEqual(outcomesOf(later), ['valid']);
  });

  it('are encoded by the example of docs/protocol.md', () => {
    const example = /```js\n(\/\/ encode\.js[\s\S]*?)```/.exec(
      readFileSync(join(root, 'docs/protocol.md'), 'utf8'),
    )?.[1];
    assert.ok(example, 'docs/protocol.md has the example');
    const printed = execFileSync(process.execPath, ['-e', example], {
      cwd: join(root, 'src/readings'),
      env: { ...process.env, NODE_PATH: join(root, 'node_modules') },
      encoding: 'utf8',
    });
    const [one = '', many = ''] = printed.trim().split('\n');
    assert.deepEqual(outcomesOf(Buffer.from(one, 'hex')), ['valid']);
    assert.deepEqual(outcomesOf(Buffer.from(many, 'hex')), ['valid', 'valid']);
  });
});

function shapeOf({ fieldsArray }: protobuf.Type): unknown[] {
  return fieldsArray.map(({ id, name, type, repeated }) => ({ id, name, type, repeated }));
}

function encode(fields: object): Buffer {
  return Buffer.from(Reading.encode(Reading.fromObject(fields)).finish());
}

function batch(parts: readonly Buffer[]): Buffer {
  const writer = protobuf.Writer.create();
  for (const part of parts) writer.uint32(10).bytes(part);
  return Buffer.from(writer.finish());
}

function outcomesOf(payload: Buffer): string[] {
  const { valid, rejected } = validator.validate([delivery(payload)]);
  const outcomes: string[] = [];
  for (const { part } of valid) outcomes[part] = 'valid';
  for (const { part, code } of rejected) outcomes[part] = code;
  return outcomes;
}

/** As the broker makes it: text when the bytes happen to be UTF-8. */
function delivery(bytes: Buffer, last = 'readings.pb'): Delivery {
  const text = bytes.toString('utf8');
  return {
    delivery: 7,
    topic: `meters/METER001/${last}`,
    pattern: `meters/+/${last}`,
    qos: 1,
    payload: Buffer.from(text, 'utf8').equals(bytes) && last === 'readings' ? text : bytes,
    received_at: now,
    device_id: 'dev-1',
    meter_id: 'METER001',
    user_id: null,
  };
}
