import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { KnownCaller, Role } from '../../src/callers/caller.js';
import { markCaller } from '../../src/callers/judged.js';
import { listenerOf } from '../../src/live/caller.js';
import type { LiveEvent } from '../../src/live/event.js';
import { DomainError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';
import { balance, payment, reading, startLiveHouse, type LiveHouse } from './house.js';
import { listenTo, type Told } from './listener.js';

const eventsOf = (told: readonly Told[]): string[] =>
  told.map(({ event, data }) => `${event} ${String(data['meter_id'])}`);

describe('listening on /ws [L-1]', () => {
  let house: LiveHouse;
  before(async () => {
    house = await startLiveHouse();
  });
  after(() => house.close());

  it('tells every event once, as {event, data, id}, in the order in which they happened', async () => {
    const listener = await house.listen();
    const events = Array.from({ length: 2_500 }, (_, index) => reading('METER001', index));
    for (let at = 0; at < events.length; at += 250) house.tell(...events.slice(at, at + 250));
    const told = await listener.hears(events.length);
    assert.deepEqual(
      told.map(({ data }) => data['kwh_amount']),
      events.map(({ data }) => data['kwh_amount']),
    );
    const [first] = told;
    assert.deepEqual(Object.keys(first ?? {}), ['event', 'data', 'id']);
    assert.equal(new Set(told.map(({ id }) => id)).size, events.length);
    await listener.close();
  });

  const rows: { readonly query: string; readonly hears: readonly string[] }[] = [
    {
      query: '',
      hears: ['MeterReadingSubmitted A', 'BalanceChanged B', 'PaymentReceived null', 'BalanceChanged A'],
    },
    { query: '?events=BalanceChanged', hears: ['BalanceChanged B', 'BalanceChanged A'] },
    { query: '?meters=A', hears: ['MeterReadingSubmitted A', 'BalanceChanged A'] },
    { query: '?meters=A,B&events=BalanceChanged', hears: ['BalanceChanged B', 'BalanceChanged A'] },
    { query: '?meters=B&events=BalanceChanged&events=PaymentReceived', hears: ['BalanceChanged B'] },
    { query: '?events=PaymentReceived', hears: ['PaymentReceived null'] },
    { query: '?events=none', hears: [] },
    { query: '?meters=none', hears: [] },
    { query: '?meters=C', hears: [] },
  ];
  for (const { query, hears } of rows)
    it(`with "${query}" hears ${hears.length === 0 ? 'nothing' : hears.join(', ')}`, async () => {
      const listener = await house.listen(query);
      const everything = await house.listen();
      house.tell(reading('A'), balance('B'), payment(null));
      house.tell(balance('A'));
      await everything.hears(4);
      // Both are written to in one tick, this one first.
      listener.ws.ping();
      await new Promise((resolve) => listener.ws.once('pong', resolve));
      assert.deepEqual(eventsOf(listener.told), hears);
      await listener.close();
      await everything.close();
    });

  it('says what is wrong with a subscription, and keeps the old one', async () => {
    const listener = await house.listen('?meters=A');
    listener.say({ action: 'subscribe', events: ['Nothing'], meters: ['not a meter'] });
    listener.say('{');
    await listener.hears(2);
    house.tell(balance('A'));
    const [first, second, third] = await listener.hears(3);
    assert.equal(first?.event, 'Error');
    assert.equal(first?.data['code'], 'SCHEMA_INVALID');
    assert.match(
      String(first?.data['message']),
      /events must be of MeterReadingSubmitted.*meters must be meter_ids/,
    );
    assert.equal(second?.event, 'Error');
    assert.equal(third?.event, 'BalanceChanged');
    await listener.close();
  });

  it('takes another subscription by a message, from the next event on', async () => {
    const listener = await house.listen('?events=none');
    listener.say({ action: 'subscribe', events: ['BalanceChanged'], meters: ['A', 'B'] });
    const [first] = await listener.hears(1);
    assert.deepEqual(first, {
      event: 'Subscribed',
      data: { events: ['BalanceChanged'], meters: ['A', 'B'] },
    });
    house.tell(balance('C'), balance('B'), reading('A'));
    assert.deepEqual(eventsOf((await listener.hears(2)).slice(1)), ['BalanceChanged B']);
    await listener.close();
  });

  const refusals: {
    readonly why: string;
    readonly query: string;
    readonly origin?: string;
    readonly status: number;
  }[] = [
    { why: 'an event that nobody knows', query: '?events=Everything', status: 400 },
    {
      why: 'more meters than may be',
      query: `?meters=${Array.from({ length: 1_001 }, (_, n) => `M${n}`).join(',')}`,
      status: 400,
    },
    { why: 'an id that is too long', query: `?last_event_id=${'x'.repeat(101)}`, status: 400 },
    { why: 'a page of another origin', query: '', origin: 'http://evil.example', status: 403 },
    { why: 'a page of no origin', query: '', origin: 'null', status: 403 },
  ];
  for (const { why, query, origin, status } of refusals)
    it(`does not let in ${why}: ${status}`, async () => {
      const options = origin === undefined ? {} : { origin };
      await assert.rejects(listenTo(house.url + query, options), { message: `refused with ${status}` });
    });

  it('lets in a page of its own host', async () => {
    const listener = await listenTo(house.url, {
      origin: house.url.replace('ws:', 'http:').replace('/ws', ''),
    });
    await listener.close();
  });

  const mistakes: {
    readonly what: string;
    readonly say: (socket: WebSocketLike) => void;
    readonly code: number;
  }[] = [
    { what: 'a binary message', say: (ws) => ws.send(Buffer.from([1, 2, 3])), code: 1003 },
    { what: 'a message of more than 64 KiB', say: (ws) => ws.send('x'.repeat(70_000)), code: 1009 },
    { what: 'ten messages that are no JSON', say: (ws) => times(10, () => ws.send('nonsense')), code: 1008 },
    {
      what: 'more than twenty messages at once',
      say: (ws) => times(21, () => ws.send('{"action":"subscribe"}')),
      code: 1008,
    },
  ];
  for (const { what, say, code } of mistakes)
    it(`ends with ${code} after ${what}, and nobody else notices`, async () => {
      const other = await house.listen();
      const listener = await house.listen();
      say(listener.ws);
      assert.equal((await listener.farewell).code, code);
      house.tell(balance('A'));
      await other.hears(1);
      await other.close();
    });

  it('cuts off who does not keep to the frames of RFC 6455', async () => {
    const other = await house.listen();
    const bytes = await wild(house.url, Buffer.from([0x81, 0x03, 0x61, 0x62, 0x63]));
    // A close frame with 1002: the client's frames must be masked.
    assert.equal(bytes.readUInt16BE(bytes.length - 2 - reasonLength(bytes)), 1002);
    house.tell(balance('A'));
    await other.hears(1);
    await other.close();
  });

  it('counts who is there, and what was sent to them', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => house.listen()));
    await eventually(() => house.live.gateway.clients === 5);
    await Promise.all(clients.map((client) => client.close()));
    await eventually(() => house.live.gateway.clients === 0);
  });
});

describe('the limits of /ws', () => {
  it('lets in no more than may be, and again when one has left', async () => {
    const house = await startLiveHouse({ limits: { clientsMax: 2 } });
    const [first] = [await house.listen(), await house.listen()];
    await assert.rejects(house.listen(), { message: 'refused with 429' });
    await first.close();
    await eventually(() => house.live.gateway.clients === 1);
    await house.listen();
    await house.close();
  });

  it('cuts off who does not answer a ping in time, and keeps who does', async () => {
    const house = await startLiveHouse({ limits: { pingMs: 100, pongMs: 80 } });
    const awake = await house.listen();
    let pings = 0;
    awake.ws.on('ping', () => (pings += 1));
    const asleep = await listenTo(house.url, { autoPong: false });
    assert.equal((await asleep.farewell).code, 1006);
    await eventually(() => pings >= 5);
    assert.equal(house.live.gateway.clients, 1);
    await house.close();
  });

  it('says goodbye with 1001 when it stops', async () => {
    const house = await startLiveHouse();
    const listener = await house.listen();
    await house.close();
    const { code } = await listener.farewell;
    assert.ok(code === 1001 || code === 1006, String(code));
  });
});

describe('who may hear what [S-4]', () => {
  const person = (name: string, role: Role, expires_at: number | null = null): KnownCaller => ({
    kind: 'person',
    name,
    user_id: name,
    role,
    scopes: null,
    expires_at,
  });
  const callers = new Map<string, KnownCaller>([
    ['anna', person('anna', 'prosumer')],
    ['boss', person('boss', 'operator')],
    ['late', person('late', 'admin', Date.now() - 1)],
    ['fired', person('fired', 'operator')],
    ['promoted', person('promoted', 'operator')],
    ['key:live', { ...person('key:live', 'operator'), kind: 'key', user_id: null, scopes: ['live'] }],
    ['key:other', { ...person('key:other', 'operator'), kind: 'key', user_id: null, scopes: ['metrics'] }],
  ]);
  const owned = new Map<string, Set<string>>([['anna', new Set(['A', 'B'])]]);
  let isAway = false;
  let house: LiveHouse;

  before(async () => {
    house = await startLiveHouse({
      limits: { ownershipMs: 50, ownershipMaxMs: 200, admissionMs: 100, recheckMs: 50 },
      async metersOf() {
        // As a database does: not in the same turn.
        await new Promise((resolve) => void setTimeout(resolve, 10));
        if (isAway) throw new Error('away');
        return owned;
      },
      callerOf: listenerOf({
        stranger: null,
        async identify(request, { query = false } = {}) {
          const name = new URL(request.url ?? '/', 'http://x').searchParams.get('as') ?? '';
          if (name === 'slow') await new Promise(() => undefined);
          if (name === '' || !query) return null;
          const found = callers.get(name);
          if (found === undefined) throw new DomainError('UNAUTHORIZED', 'This login does not hold.');
          return found;
        },
      }),
    });
  });
  after(() => house.close());

  const happening: LiveEvent[] = [balance('A'), balance('C'), payment(null), payment('B')];

  const doors: { readonly who: string; readonly query: string; readonly status: number | null }[] = [
    { who: 'nobody', query: '', status: 401 },
    { who: 'somebody unknown', query: '?as=stranger', status: 401 },
    { who: 'a key for something else', query: '?as=key:other', status: 403 },
    { who: 'a key for live events', query: '?as=key:live', status: null },
    { who: 'whom nobody can look up in time', query: '?as=slow', status: 503 },
  ];
  for (const { who, query, status } of doors)
    it(`${status === null ? 'lets in' : `answers ${status} to`} ${who}`, async () => {
      if (status !== null) return assert.rejects(house.listen(query), { message: `refused with ${status}` });
      await (await house.listen(query)).close();
    });

  it('believes who has judged before', async () => {
    const { server, live } = house;
    const mark = (request: IncomingMessage): void => {
      if (request.url === '/ws?judged') markCaller(request, person('boss', 'operator'));
    };
    server.prependListener('upgrade', mark);
    await (await house.listen('?judged')).close();
    server.off('upgrade', mark);
    await eventually(() => live.gateway.clients === 0);
  });

  it('sends away whose account is closed, or has become another', async () => {
    const [fired, promoted, boss] = [
      await house.listen('?as=fired'),
      await house.listen('?as=promoted'),
      await house.listen('?as=boss'),
    ];
    callers.delete('fired');
    callers.set('promoted', person('promoted', 'prosumer'));
    assert.equal((await fired.farewell).code, 4401);
    assert.equal((await promoted.farewell).code, 4401);
    assert.equal(boss.ws.readyState, boss.ws.OPEN);
    await boss.close();
  });

  it('tells a prosumer of his own meters only, also when he asks for others', async () => {
    const [all, some, foreign] = [
      await house.listen('?as=anna'),
      await house.listen('?as=anna&meters=B,C'),
      await house.listen('?as=anna&meters=C'),
    ];
    const operator = await house.listen('?as=boss');
    await eventually(() => house.live.hub.members === 4);
    house.tell(...happening);
    await operator.hears(4);
    assert.deepEqual(eventsOf(await all.hears(2)), ['BalanceChanged A', 'PaymentReceived B']);
    assert.deepEqual(eventsOf(await some.hears(1)), ['PaymentReceived B']);
    foreign.say({ action: 'subscribe' });
    await foreign.hears(1);
    house.tell(...happening);
    assert.deepEqual(eventsOf((await foreign.hears(3)).slice(1)), ['BalanceChanged A', 'PaymentReceived B']);
    await Promise.all([all, some, foreign, operator].map((one) => one.close()));
  });

  it('hears what a prosumer says before it is known what is his', async () => {
    const listener = await house.listen('?as=anna&events=none');
    listener.say({ action: 'subscribe', events: ['BalanceChanged'], meters: ['A'] });
    const [subscribed] = await listener.hears(1);
    assert.deepEqual(subscribed?.data, { events: ['BalanceChanged'], meters: ['A'] });
    house.tell(...happening);
    assert.deepEqual(eventsOf((await listener.hears(2)).slice(1)), ['BalanceChanged A']);
    await listener.close();
  });

  it('follows a meter to its new owner', async () => {
    const listener = await house.listen('?as=anna');
    owned.set('anna', new Set(['B', 'C']));
    await eventually(() => {
      house.tell(balance('C'));
      return listener.told.some(({ data }) => data['meter_id'] === 'C');
    });
    const before = listener.told.length;
    house.tell(balance('A'), balance('B'));
    await eventually(() => listener.told.some(({ data }) => data['meter_id'] === 'B'));
    assert.ok(listener.told.slice(before).every(({ data }) => data['meter_id'] !== 'A'));
    await listener.close();
  });

  it('sends a prosumer away when nobody can say any longer what is his', async () => {
    const listener = await house.listen('?as=anna');
    await eventually(() => house.live.hub.members === 1);
    isAway = true;
    assert.equal((await listener.farewell).code, 1013);
    const refused = await house.listen('?as=anna');
    assert.equal((await refused.farewell).code, 1013);
    isAway = false;
  });

  it('sends away whose token has expired', async () => {
    const listener = await house.listen('?as=late');
    assert.deepEqual(await listener.farewell, { code: 4401, reason: 'the token has expired' });
  });
});

interface WebSocketLike {
  send(data: string | Buffer): void;
}

function times(count: number, work: () => void): void {
  for (let turn = 0; turn < count; turn++) work();
}

/** Shakes hands by hand, sends these bytes, and hands back what came before the end. */
function wild(url: string, bytes: Buffer): Promise<Buffer> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    const came: Buffer[] = [];
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    socket.once('data', () => socket.write(bytes));
    socket.on('data', (chunk) => came.push(chunk));
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve(Buffer.concat(came)));
    socket.on('error', reject);
  });
}

/** Of the close frame at the end: its reason comes after the two bytes of the code. */
function reasonLength(bytes: Buffer): number {
  const at = bytes.lastIndexOf(0x88);
  return (bytes[at + 1] ?? 2) - 2;
}
