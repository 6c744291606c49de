import assert from 'node:assert/strict';

import { type TestBroker, as, startTestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Wire, connack, connectPacket, packet, text, u16 } from '../support/mqtt-wire.js';

const hex = (bytes: string) => Buffer.from(bytes.replaceAll(' ', ''), 'hex');
const name = text('MQTT');
const credentials = [text('METER001'), text('secret of METER001')] as const;
/** 3.1.1 CONNECT with these flags; the right credentials follow what is given. */
const connecting = (flags: number, ...fields: Buffer[]) =>
  packet(0x10, name, Buffer.from([4, flags]), u16(60), ...fields, ...credentials);
const topic = text('devices/id-METER001/x');
const filter = text('smartmeter/METER001/command/#');

/** [clause, what is sent first on a new socket, what comes back; '' means closed without an answer] */
const first: [string, Buffer, string][] = [
  ['a CONNECT is answered by CONNACK [MQTT-3.2.0-1]', connectPacket(as('METER001')), '20020000'],
  [
    'MQIsdp 3 is served too (MQTT 3.1)',
    packet(0x10, text('MQIsdp'), hex('03c2003c'), text('a'), ...credentials),
    '20020000',
  ],
  ['the first packet is CONNECT [MQTT-3.1.0-1]', packet(0xc0), ''],
  [
    'the protocol name is MQTT [MQTT-3.1.2-1]',
    packet(0x10, text('MQTU'), hex('04c2003c'), text('a'), ...credentials),
    '',
  ],
  [
    'an unknown level is answered by 1 [MQTT-3.1.2-2]',
    packet(0x10, name, hex('05c2003c'), text('a'), ...credentials),
    '20020001',
  ],
  ['the reserved connect flag is 0 [MQTT-3.1.2-3]', connecting(0xc3, text('a')), ''],
  ['will QoS without a will [MQTT-3.1.2-11]', connecting(0xca, text('a')), ''],
  ['will QoS 3 [MQTT-3.1.2-14]', connecting(0xde, text('a'), topic, text('m')), ''],
  ['will flag without a will [MQTT-3.1.2-9]', packet(0x10, name, hex('0406003c'), text('a')), ''],
  [
    'a password needs a user name [MQTT-3.1.2-22]',
    packet(0x10, name, hex('0442003c'), text('a'), text('p')),
    '',
  ],
  [
    'a field more than the flags say [MQTT-3.1.2-18]',
    packet(0x10, name, hex('0402003c'), text('a'), text('b')),
    '',
  ],
  ['a field less than the flags say [MQTT-3.1.2-19]', packet(0x10, name, hex('0482003c'), text('a')), ''],
  ['an empty id with a clean session is given one [MQTT-3.1.3-6]', connecting(0xc2, text('')), '20020000'],
  ['an empty id with a stored session is 2 [MQTT-3.1.3-8]', connecting(0xc0, text('')), '20020002'],
  ['NUL in the client id [MQTT-1.5.3-2]', connecting(0xc2, text(hex('610062'))), ''],
  ['a surrogate in the client id [MQTT-1.5.3-1]', connecting(0xc2, text(hex('eda080'))), ''],
  [
    'reserved flags of CONNECT [MQTT-2.2.2-2]',
    Buffer.concat([hex('11'), connectPacket(as('METER001')).subarray(1)]),
    '',
  ],
  ['a length of five bytes (section 2.2.3)', hex('10 80 80 80 80 01'), ''],
];

/** [clause, what a connected device sends, what comes back; null means closed] */
const connected: [string, Buffer, string | null][] = [
  ['a second CONNECT [MQTT-3.1.0-2]', connectPacket(as('METER001')), null],
  ['PINGREQ is answered [MQTT-3.12.4-1]', hex('c000'), 'd000'],
  ['PINGREQ with flags [MQTT-2.2.2-2]', hex('c100'), null],
  ['PINGREQ with a body', hex('c00100'), null],
  ['QoS 3 [MQTT-3.3.1-4]', packet(0x36, topic, u16(1), 'x'), null],
  ['DUP on QoS 0 [MQTT-3.3.1-2]', packet(0x38, topic, 'x'), null],
  ['packet id 0 with QoS 1 [MQTT-2.3.1-1]', packet(0x32, topic, u16(0), 'x'), null],
  ['packet id 0 with QoS 2 [MQTT-2.3.1-1]', packet(0x34, topic, u16(0), 'x'), null],
  ['an empty topic [MQTT-4.7.3-1]', packet(0x30, text(''), 'x'), null],
  ['a wildcard in a topic [MQTT-3.3.2-2]', packet(0x30, text('devices/id-METER001/+'), 'x'), null],
  ['NUL in a topic [MQTT-1.5.3-2]', packet(0x30, text('devices/id-METER001/\0'), 'x'), null],
  ['ill-formed UTF-8 in a topic [MQTT-1.5.3-1]', packet(0x30, text(hex('646576c328')), 'x'), null],
  [
    'a control character in a topic (section 1.5.3)',
    packet(0x30, text('devices/id-METER001/\u0001'), 'x'),
    null,
  ],
  ['a topic longer than its packet', hex('30 03 00 05 61'), null],
  ['PUBREL of an unknown id is answered (section 4.4)', packet(0x62, u16(7)), '70020007'],
  ['PUBREL with other flags [MQTT-3.6.1-1]', packet(0x60, u16(7)), null],
  ['PUBACK of id 0', packet(0x40, u16(0)), null],
  ['PUBACK with a long body', packet(0x40, u16(1), 0), null],
  ['SUBSCRIBE is answered with its id [MQTT-3.8.4-2]', packet(0x82, u16(9), filter, 1), '9003000901'],
  ['SUBSCRIBE without reserved flags [MQTT-3.8.1-1]', packet(0x80, u16(9), filter, 1), null],
  ['SUBSCRIBE without a filter [MQTT-3.8.3-3]', packet(0x82, u16(9)), null],
  ['SUBSCRIBE with QoS 3 [MQTT-3-8.3-4]', packet(0x82, u16(9), filter, 3), null],
  ['SUBSCRIBE with an empty filter [MQTT-4.7.3-1]', packet(0x82, u16(9), text(''), 0), null],
  ['# before the end [MQTT-4.7.1-2]', packet(0x82, u16(9), text('#/a'), 0), null],
  ['# as a part of a level [MQTT-4.7.1-2]', packet(0x82, u16(9), text('a#'), 0), null],
  ['+ as a part of a level [MQTT-4.7.1-3]', packet(0x82, u16(9), text('a/b+'), 0), null],
  ['SUBSCRIBE with id 0 [MQTT-2.3.1-1]', packet(0x82, u16(0), filter, 0), null],
  ['UNSUBSCRIBE is answered, subscribed or not [MQTT-3.10.4-5]', packet(0xa2, u16(9), filter), 'b0020009'],
  ['UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', packet(0xa2, u16(9)), null],
  ['a packet that only a server sends', packet(0x20, 0, 0), null],
  ['packet type 0', hex('0000'), null],
  ['packet type 15', hex('f000'), null],
  ['DISCONNECT is followed by the close [MQTT-3.14.4-1]', hex('e000'), null],
  ['DISCONNECT with flags [MQTT-3.14.1-1]', hex('e100'), null],
];

describe('MQTT 3.1.1 on the wire [M-16]', () => {
  let test: TestBroker;

  before(async () => {
    test = await startTestBroker();
    test.sink.settling = true;
  });

  after(() => test.broker.close({ drainMs: 0 }));

  for (const [clause, sent, answer] of first) {
    it(clause, async () => {
      const wire = await Wire.open(test.port);
      wire.send(sent);
      if (answer !== '') await wire.expect(hex(answer));
      if (answer !== '20020000') await wire.expectClosed();
      else await wire.expectSilence();
      assert.equal(wire.received, '');
      wire.end();
    });
  }

  for (const user of ['METER001', 'backend']) {
    describe(`after the login of ${user}`, () => {
      for (const [clause, sent, answer] of connected) {
        it(clause, async () => {
          const wire = await Wire.login(test.port, as(user));
          wire.send(sent);
          if (answer !== null) {
            await wire.expect(hex(user === 'backend' && answer === '9003000901' ? '9003000901' : answer));
            await wire.expectSilence();
          } else {
            await wire.expectClosed();
            assert.equal(wire.received, '');
          }
          wire.end();
        });
      }
    });
  }

  it('serves packets that arrive byte by byte, and many in one piece', async () => {
    const wire = await Wire.open(test.port);
    for (const byte of connectPacket(as('METER001'))) {
      wire.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await wire.expect(connack(0));
    wire.send(...Array.from({ length: 1_000 }, () => hex('c000')));
    await eventually(() => wire.received.length === 4_000);
    wire.end();
  });
});
