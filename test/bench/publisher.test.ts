import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { emptyLatencies } from './load/latency-histogram.js';
import { Publisher } from './load/publisher.js';
import { planFrom } from './load/reading-plan.js';

const CONNECT = 1;
const PINGREQ = 12;

describe('A meter of the load generator', () => {
  it('pings when it is logged in and not before: a PINGREQ in front of CONNECT cost it the connection', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const login = { meterId: 'M', clientId: 'M', user: 'M', password: 'x' };
    const publisher = new Publisher(login, planFrom(Date.now()), 0, emptyLatencies());
    const accepted = once(server, 'connection');
    const connected = publisher.connect('127.0.0.1', port);
    publisher.ping();
    const [socket] = (await accepted) as [Socket];
    const [first] = (await once(socket, 'data')) as [Buffer];
    assert.equal((first[0] ?? 0) >> 4, CONNECT);
    socket.write(Buffer.from([0x20, 2, 0, 0]));
    await connected;
    publisher.ping();
    const [second] = (await once(socket, 'data')) as [Buffer];
    assert.equal((second[0] ?? 0) >> 4, PINGREQ);
    publisher.drop();
    server.close();
  });
});
