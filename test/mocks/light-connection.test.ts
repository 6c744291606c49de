import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { generate, parser as createParser, type Packet } from 'mqtt-packet';
import { LightConnection } from '../../src/mocks/light-connection.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';

const connack = generate({ cmd: 'connack', returnCode: 0, sessionPresent: false });

describe('A light connection', () => {
  let server: Server;
  let port: number;
  /** What the broker does with a packet. */
  let answer: (packet: Packet, socket: Socket) => void;
  let heard: Packet[];
  let sockets: Socket[];
  let closed: string[];
  let opened: number;
  let now: number;
  let connection: LightConnection | undefined;

  beforeEach(async () => {
    [heard, sockets, closed, opened, now, connection] = [[], [], [], 0, 0, undefined];
    answer = (packet, socket) => void (packet.cmd === 'connect' && socket.write(connack));
    server = createServer((socket) => {
      sockets.push(socket);
      const parser = createParser({ protocolVersion: 4 });
      parser.on('packet', (packet) => {
        heard.push(packet);
        answer(packet, socket);
      });
      socket.on('data', (chunk: Buffer) => parser.parse(chunk));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    connection?.leave();
    for (const socket of sockets) socket.destroy();
    await new Promise((gone) => server.close(gone));
  });

  function open(to = port): LightConnection {
    connection = new LightConnection(
      { host: '127.0.0.1', port: to },
      { clientId: 'id', username: 'user', password: 'secret', clean: true },
      {
        opened: () => (opened += 1),
        packet: () => undefined,
        closed: (reason) => closed.push(reason),
      },
      () => now,
    );
    return connection;
  }
  const commands = (): string[] => heard.map(({ cmd }) => cmd);

  it('logs in, says goodbye, and tells nothing of an end that was asked for', async () => {
    const mine = open();
    await eventually(() => assert.equal(opened, 1));
    const [connect] = heard;
    assert.ok(connect?.cmd === 'connect' && connect.clientId === 'id' && connect.username === 'user');
    assert.equal(String(connect.password), 'secret');
    mine.leave();
    await eventually(() => assert.deepEqual(commands(), ['connect', 'disconnect']));
    await eventually(() => assert.ok(sockets[0]?.destroyed));
    assert.deepEqual(closed, []);
  });

  for (const [title, behave, reason] of [
    [
      'is refused',
      (_: Packet, socket: Socket) =>
        void socket.write(generate({ cmd: 'connack', returnCode: 5, sessionPresent: false })),
      'not authorized',
    ],
    [
      'hears what is not MQTT',
      (_: Packet, socket: Socket) => void socket.write('HTTP/1.1 400\r\n\r\n'),
      /^not MQTT/,
    ],
    ['is closed', (_: Packet, socket: Socket) => void socket.end(), 'the broker closed the connection'],
    [
      'is reset',
      (_: Packet, socket: Socket) => void socket.resetAndDestroy(),
      /ECONNRESET|closed the connection/,
    ],
  ] as const)
    it(`says so once when it ${title}`, async () => {
      answer = behave;
      open();
      await eventually(() => assert.equal(closed.length, 1));
      assert.match(closed[0] ?? '', new RegExp(reason));
    });

  it('says so when nobody listens', async () => {
    open(await freePort());
    await eventually(() => assert.match(closed[0] ?? '', /ECONNREFUSED/));
  });

  it('gives a silent broker ten seconds for its CONNACK', async () => {
    answer = () => undefined;
    const mine = open();
    await eventually(() => assert.deepEqual(commands(), ['connect']));
    now = 10_000;
    mine.beat();
    assert.deepEqual(closed, []);
    now = 10_001;
    mine.beat();
    assert.deepEqual(closed, ['the broker did not answer within 10 s']);
  });

  it('pings a quiet broker, and leaves one that does not answer', async () => {
    let answers = true;
    answer = (packet, socket) => {
      if (packet.cmd === 'connect') socket.write(connack);
      if (packet.cmd === 'pingreq' && answers) socket.write(generate({ cmd: 'pingresp' }));
    };
    const mine = open();
    await eventually(() => assert.equal(opened, 1));
    now = 40_001;
    mine.beat();
    mine.beat();
    await eventually(() => assert.deepEqual(commands(), ['connect', 'pingreq']));
    // The answer has been heard when the next silence is counted from it.
    await eventually(() => {
      now += 20_000;
      mine.beat();
      assert.ok(commands().length > 2);
    });
    assert.deepEqual(closed, []);
    answers = false;
    await eventually(() => {
      now += 20_000;
      mine.beat();
      assert.deepEqual(closed, ['the broker is silent']);
    });
  });

  it('is not taken for dead while it does not read itself', async () => {
    const mine = open();
    await eventually(() => assert.equal(opened, 1));
    mine.pause();
    now = 40_001;
    for (let minutes = 0; minutes < 10; minutes += 1) {
      mine.beat();
      now += 60_000;
    }
    assert.deepEqual(closed, []);
    mine.resume();
    mine.beat();
    assert.deepEqual(closed, []);
  });
});
