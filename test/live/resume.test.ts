import assert from 'node:assert/strict';
import { Hub } from '../../src/live/hub.js';
import { overlapMs } from '../../src/live/limits.js';
import { balance, reading, startLiveHouse, type LiveHouse } from './house.js';
import type { Told } from './listener.js';

const numbersOf = (told: readonly Told[]): unknown[] =>
  told.map(({ data }) => data['kwh_amount'] ?? data['balance']);
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);

describe('resuming from the last event id', () => {
  let house: LiveHouse;
  before(async () => {
    house = await startLiveHouse();
  });
  after(() => house.close());

  it('tells what was missed, then what comes, without a hole and without a double', async () => {
    const first = await house.listen();
    house.tell(...range(0, 10).map((number) => reading('A', number)));
    const told = await first.hears(10);
    await first.close();
    house.tell(...range(10, 3_000).map((number) => reading('A', number)));
    const again = await house.listen(`?last_event_id=${encodeURIComponent(told[4]?.id ?? '')}`);
    // While it still reads what it missed.
    house.tell(...range(3_000, 3_100).map((number) => reading('A', number)));
    assert.deepEqual(numbersOf(await again.hears(3_095)), range(5, 3_100));
    await again.close();
  });

  it('tells only what the subscription wants', async () => {
    const first = await house.listen();
    house.tell(reading('A', 1));
    const [told] = await first.hears(1);
    house.tell(reading('A', 2), balance('A', 3), balance('B', 4));
    const again = await house.listen('?events=none');
    again.say({ action: 'subscribe', meters: ['A'], events: ['BalanceChanged'], last_event_id: told?.id });
    const [subscribed, ...rest] = await again.hears(2);
    assert.equal(subscribed?.event, 'Subscribed');
    assert.deepEqual(numbersOf(rest), [3]);
    await Promise.all([first.close(), again.close()]);
  });

  it('with the newest id tells nothing old', async () => {
    const first = await house.listen();
    house.tell(reading('A', 1));
    const [told] = await first.hears(1);
    const again = await house.listen(`?last_event_id=${encodeURIComponent(told?.id ?? '')}`);
    // It answers the ping after it has caught up.
    await new Promise((resolve) => {
      again.ws.once('pong', resolve);
      again.ws.ping();
    });
    house.tell(reading('A', 2));
    assert.deepEqual(numbersOf(await again.hears(1)), [2]);
    await Promise.all([first.close(), again.close()]);
  });

  for (const id of ['u1-inobody@3-inobody', 'nonsense', 'u0-x@99999999-'])
    it(`answers ${id} with a gap, and goes on`, async () => {
      const listener = await house.listen(`?last_event_id=${encodeURIComponent(id)}`);
      await listener.hears(1);
      house.tell(reading('A', 7));
      const [gap, event] = await listener.hears(2);
      assert.deepEqual(gap, { event: 'Gap', data: { reason: 'unknown', last_event_id: id } });
      assert.deepEqual(numbersOf([event as Told]), [7]);
      await listener.close();
    });
});

describe('the window of what can be resumed', () => {
  const window = { entriesMax: 100, ageMaxMs: 1_000 };

  it('holds so many events, and an older id is expired', () => {
    const hub = new Hub({ instance: 'ia', window });
    const stop = hub.listen({ selection: { events: new Set(), meters: null }, hear: () => undefined });
    hub.publish(250, () => range(0, 250).map((number) => reading('A', number)));
    hub.flush();
    assert.deepEqual(hub.journal.find('u149-ia@149-ia', 0), { from: 150 });
    assert.deepEqual(hub.journal.find('u148-ia@148-ia', 0), { gap: 'expired' });
    assert.deepEqual(hub.journal.find('u250-ia@250-ia', 0), { gap: 'unknown' });
    assert.equal(hub.journal.slice(150, 1_000)?.length, 100);
    assert.equal(hub.journal.slice(149, 1), undefined);
    stop();
  });

  it('holds nothing older than its age', () => {
    const hub = new Hub({ instance: 'ia', window });
    const begun = 1_795_176_000_000;
    for (const number of range(0, 10))
      hub.journal.add(`u${number}-ia`, reading('A', number), begun + number * 200);
    hub.journal.expire(begun + 2_000);
    assert.deepEqual(hub.journal.find('u3-ia@3-ia', 0), { gap: 'expired' });
    assert.deepEqual(hub.journal.find('u4-ia@4-ia', 0), { from: 5 });
  });

  it('finds the id of another instance by the name of the event, and begins a little before it', () => {
    const hub = new Hub({ instance: 'ia', window });
    const begun = 1_795_176_000_000;
    for (const number of range(0, 10))
      hub.journal.add(`u${number}-ib`, reading('A', number), begun + number * 1_000);
    assert.deepEqual(hub.journal.find('u7-ib@3000-ib', overlapMs), { from: 5 });
    assert.deepEqual(hub.journal.find('u10-ib@3000-ib', overlapMs), { gap: 'unknown' });
  });

  it('only counts while nobody listens, nor could come back', () => {
    const hub = new Hub({ instance: 'ia', window: { entriesMax: 100, ageMaxMs: 0 } });
    hub.publish(1_000, () => assert.fail('nobody wants it'));
    assert.equal(hub.journal.next, 1_000);
  });
});
