import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { eventually } from '../support/eventually.js';
import { quarter, startHouse, type House } from './house.js';

describe('the shipped flows while the database is away', function () {
  this.timeout(150_000);
  let house: House;
  let line: Line;
  before(async () => {
    line = new Line();
    house = await startHouse({}, (url) => line.to(url));
  });
  after(async () => {
    await house?.close();
    line?.close();
  });

  it('answer 503 with Retry-After through Catch, hold the PUBACK, and serve again by themselves [M-13]', async () => {
    const meter = await house.register('METER001');
    const client = await house.connect(meter);
    line.cut();
    await eventually(
      async () => {
        const { status, headers, body } = await house.request('GET', '/devices/METER001');
        assert.deepEqual([status, body.error?.code], [503, 'DATABASE_UNAVAILABLE']);
        assert.match(headers.get('retry-after') ?? '', /^\d+$/);
      },
      { timeoutMs: 20_000 },
    );
    const query = await house.request('GET', '/api/meter_data/METER001');
    assert.deepEqual([query.status, query.body.error?.code], [503, 'DATABASE_UNAVAILABLE']);

    let acknowledged = false;
    const reading = JSON.stringify({ kwh_amount: 1, reading_timestamp: quarter(0) });
    const published = client
      .publishAsync('meters/METER001/readings', reading, { qos: 1 })
      .then(() => (acknowledged = true));
    // Other work of the broker goes on during the hold, and it has not acknowledged by then.
    await client.subscribeAsync('meters/METER001/command/#');
    assert.equal(acknowledged, false);
    assert.equal(client.connected, true);

    line.mend();
    await published;
    assert.equal(await house.value('select count(*)::int from meter_readings'), 1);
    await eventually(async () => (await house.request('GET', '/devices/METER001')).status === 200);
  });
});

/** The line to the database, which can be cut: every connection ends, no new one comes about. */
class Line {
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #whole = true;

  async to(url: string): Promise<string> {
    const address = new URL(url);
    const port = Number(address.port);
    const host = address.hostname;
    this.#server = createServer((near) => {
      if (!this.#whole) {
        near.destroy();
        return;
      }
      const far = connect(port, host);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => this.#sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((settle) => this.#server?.listen(0, '127.0.0.1', settle));
    address.hostname = '127.0.0.1';
    address.port = String((this.#server.address() as AddressInfo).port);
    return address.href;
  }

  cut(): void {
    this.#whole = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#whole = true;
  }

  close(): void {
    this.#server?.close();
    this.cut();
  }
}
