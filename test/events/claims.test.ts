import assert from 'node:assert/strict';
import {
  claimEvents,
  closeEvents,
  countOpenEvents,
  freeEarlierClaims,
  type Claimer,
} from '../../src/events/event-store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('Claims of device events', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase({ connectionsMax: 12 });
  });
  afterEach(() => test.drop());

  const claimer = (instance: string, run = 'now'): Claimer => ({ instance, run, relay: '1' });
  const one = claimer('one');
  const two = claimer('two');
  const claim = (who: Claimer, most = 100, seconds = 60) =>
    claimEvents(test.database, { most, claimer: who, seconds });
  const names = (rows: readonly { device_id: string; device_data: { name: string | null } }[]) =>
    rows.map(({ device_id, device_data }) => `${device_id} ${device_data.name}`);
  const close = (
    who: Claimer,
    published: readonly { id: string }[],
    others: readonly { id: string }[] = [],
  ) =>
    closeEvents(test.database, who, {
      published: published.map(({ id }) => id),
      others: others.map(({ id }) => id),
    });

  /** Devices A, B, … each with `changes` events, named by their number, in turns. */
  async function happen(devices: number, changes: number): Promise<void> {
    await test.database.query({
      text: `insert into devices (id, meter_id, type, name, mqtt_user, password_hash)
             select chr(64 + n), chr(64 + n), 'sensor', '1', chr(64 + n), '\\x00' from generate_series(1, ${devices}) n`,
    });
    for (let change = 2; change <= changes; change++)
      await test.database.query({ text: `update devices set name = '${change}'` });
  }

  it('are the oldest events, in order', async () => {
    await happen(2, 2);
    assert.deepEqual(names(await claim(one, 3)), ['A 1', 'B 1', 'A 2']);
  });

  it('leave alone whatever comes behind an event that somebody else has', async () => {
    await happen(3, 2);
    const first = await claim(one, 1);
    assert.deepEqual(names(first), ['A 1']);
    assert.deepEqual(names(await claim(two)), ['B 1', 'C 1', 'B 2', 'C 2']);
    assert.deepEqual(names(await claim(one)), [], 'nor does its own second turn overtake the first');
    assert.equal((await close(one, first)).length, 1);
    assert.deepEqual(names(await claim(two)), ['A 2']);
  });

  it('look beyond what others have, also when that is much', async () => {
    await happen(4, 50);
    assert.equal((await claim(one, 100)).length, 100);
    // Each device has an event under way now.
    assert.equal((await claim(two, 100)).length, 0);
    await test.database.query({
      text: `insert into devices (id, meter_id, type, mqtt_user, password_hash) values ('Z', 'Z', 'sensor', 'Z', '\\x00')`,
    });
    assert.deepEqual(names(await claim(two, 100)), ['Z null']);
  });

  it('that did not leave are the first of the next turn', async () => {
    await happen(2, 2);
    const [first, ...others] = await claim(one);
    assert.ok(first);
    await close(one, [first], others);
    assert.deepEqual(names(await claim(two)), ['B 1', 'A 2', 'B 2']);
    assert.equal(await countOpenEvents(test.database), 3);
  });

  it('run out, and then belong to whoever takes them', async () => {
    await happen(1, 2);
    const late = await claim(one, 1, 0);
    assert.deepEqual(names(await claim(two)), ['A 1', 'A 2']);
    assert.deepEqual(await close(one, late), [], 'the one who was late writes nothing down');
    assert.equal(await countOpenEvents(test.database), 2);
  });

  it('of an earlier run are free at its next start, those of others are not', async () => {
    await happen(3, 1);
    const earlier = [claimer('one', 'earlier'), claimer('one-more'), one];
    for (const who of earlier) await claim(who, 1);
    await freeEarlierClaims(test.database, one);
    assert.deepEqual(names(await claim(two)), ['A 1']);
  });

  it('keep the order of each device when eight take and close at once', async () => {
    await happen(5, 40);
    const left: { device: string; id: number; by: number }[] = [];
    async function work(by: number): Promise<void> {
      while ((await countOpenEvents(test.database)) > 0) {
        const claimed = await claim(claimer(`worker ${by}`), 3);
        for (const { device_id: device, id } of claimed) left.push({ device, id: Number(id), by });
        if (claimed.length > 0) await close(claimer(`worker ${by}`), claimed);
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, by) => work(by)));
    assert.equal(left.length, 200);
    for (const device of 'ABCDE') {
      const ids = left.filter((event) => event.device === device).map(({ id }) => id);
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => a - b),
        device,
      );
    }
    assert.ok(new Set(left.map(({ by }) => by)).size > 1, 'several had a share');
  });
});
