import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { isDomainError } from '../../src/errors.js';
import { createQuarantine } from '../../src/readings/quarantine.js';
import { createQuarantineDesk, type QuarantineDesk } from '../../src/readings/quarantine-desk.js';
import type { Rejection } from '../../src/readings/reading.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const { signal } = new AbortController();
const operator = { name: 'olga', address: '127.0.0.1' };

describe('the quarantine desk [H-22]', () => {
  let test: TestDatabase;
  let desk: QuarantineDesk;
  before(async () => {
    test = await createTestDatabase();
    desk = createQuarantineDesk(test.database);
    await createQuarantine(test.database).keep(
      [
        rejection({ meter_id: 'M-1', topic: 'meters/M-1/readings', code: 'TOO_CLOSE' }),
        rejection({ meter_id: 'M-1', topic: 'meters/M-1/readings.pb', payload: Buffer.from([8, 0xff]) }),
        rejection({ meter_id: 'M-2', topic: 'meters/M-2/readings', payload: 'é'.repeat(10_000) }),
        rejection({ meter_id: 'M-2', topic: 'devices/d/a.b', code: 'FLOW_UNSETTLED' }),
      ],
      { signal },
    );
    await test.database.query({
      text: `update quarantined_messages set quarantined_at = timestamptz '2026-11-20T12:00:00Z' + id * interval '1 hour',
                    replay_outcome = case id when 1 then 'stored' when 4 then 'refused' end,
                    replayed_at = case when id in (1, 4) then now() end`,
    });
  });
  after(() => test.drop());

  const lists: [filter: Record<string, unknown>, ids: number[]][] = [
    [{}, [4, 3, 2, 1]],
    [{ order: 'asc', limit: 2, page: 2 }, [3, 4]],
    [{ meter_id: 'M-2' }, [4, 3]],
    [{ code: 'TOO_CLOSE' }, [1]],
    [{ topic: 'meters/M-1/readings' }, [1]],
    [{ topic: 'meters/+/readings' }, [3, 1]],
    [{ topic: 'meters/M-1/#' }, [2, 1]],
    [{ topic: 'devices/d/a.b/#' }, [4]],
    [{ topic: 'devices/d/aXb' }, []],
    [{ topic: '#' }, [4, 3, 2, 1]],
    [{ since: '2026-11-20T14:00:00Z' }, [4, 3, 2]],
    [{ until: '2026-11-20T14:00:00Z' }, [1]],
    [{ replayed: 'yes' }, [1]],
    [{ replayed: 'no' }, [4, 3, 2]],
    [{ meter_id: "'; drop table quarantined_messages; --" }, []],
    [{ code: 'A\0B' }, []],
  ];
  for (const [filter, ids] of lists) {
    it(`lists ${ids.length} with ${JSON.stringify(filter)}`, async () => {
      const { data } = await desk.list(filter);
      assert.deepEqual(
        data.map(({ id }) => id),
        ids,
      );
    });
  }

  for (const query of [
    { since: 'x' },
    { replayed: 'maybe' },
    { topic: 'a/#/b' },
    { topic: 'a+' },
    { page: 0 },
  ]) {
    it(`refuses ${JSON.stringify(query)}`, async () => {
      await assert.rejects(desk.list(query), (error) => {
        assert.ok(isDomainError(error) && error.code === 'SCHEMA_INVALID');
        assert.equal(error.details?.[0]?.path, `/${Object.keys(query)[0]}`);
        return true;
      });
    });
  }

  it('names the encoding of each payload, and cuts a long one in a list only', async () => {
    const { data } = await desk.list({ order: 'asc' });
    assert.deepEqual(
      data.map(({ payload_encoding, payload_bytes, payload_cut }) => [
        payload_encoding,
        payload_bytes,
        payload_cut,
      ]),
      [
        ['utf8', 2, false],
        ['base64', 2, false],
        ['utf8', 20_000, true],
        ['utf8', 2, false],
      ],
    );
    assert.match(data[2]?.payload ?? '', /^é+$/);
    assert.equal((await desk.show('3')).payload.length, 10_000);
  });

  it('counts by code what is open and what is settled', async () => {
    assert.deepEqual(await desk.counts(), [
      { code: 'SCHEMA_INVALID', open: 2, replayed: 0 },
      { code: 'FLOW_UNSETTLED', open: 1, replayed: 0 },
      { code: 'TOO_CLOSE', open: 0, replayed: 1 },
    ]);
  });

  for (const id of ['99', '0x1', '', '9'.repeat(30), "1'"]) {
    it(`knows no message ${JSON.stringify(id)}`, async () => {
      const works = [
        () => desk.show(id),
        () => desk.replay(id, {}, operator),
        () => desk.remove(id, operator),
      ];
      for (const work of works)
        await assert.rejects(work(), (error) => isDomainError(error) && error.code === 'MESSAGE_UNKNOWN');
    });
  }

  it('deletes a message, and the audit log keeps what it was', async () => {
    assert.equal((await desk.remove('2', operator)).code, 'SCHEMA_INVALID');
    await assert.rejects(desk.remove('2', operator), /no quarantined message/);
    const { rows } = await test.database.query<{ actor: string; details: Record<string, unknown> }>({
      text: `select actor, details from audit_log where action = 'quarantine.deleted' and subject = '2'`,
    });
    assert.equal(rows.length, 1);
    const { id, code, meter_id, topic, payload_sha256 } = rows[0]?.details ?? {};
    assert.deepEqual(
      [rows[0]?.actor, id, code, meter_id, topic, payload_sha256],
      [
        'olga',
        2,
        'SCHEMA_INVALID',
        'M-1',
        'meters/M-1/readings.pb',
        createHash('sha256')
          .update(Buffer.from([8, 0xff]))
          .digest('hex'),
      ],
    );
  });
});

function rejection(some: Partial<Rejection>): Rejection {
  const place = { delivery: 0, part: 0, device_id: 'd', meter_id: 'M', topic: 't', qos: 1 } as const;
  return {
    ...place,
    code: 'SCHEMA_INVALID',
    reason: 'Because.',
    payload: '{}',
    received_at: Date.now(),
    ...some,
  };
}
