import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Ending } from '../../src/tokens/ending-store.js';
import { createInjectionRecords } from '../../src/tokens/records.js';
import { discrepancies } from '../balances/meters.js';
import { openInjectionHouse, token, type InjectionHouse } from './injection-house.js';

describe('The records of injections', () => {
  let house: InjectionHouse;
  beforeEach(async () => {
    house = await openInjectionHouse();
  });
  afterEach(() => house.close());

  it('end once, and are booked once, when the same answer is heard twice at the same moment', async () => {
    const { database } = house.database;
    const id = randomUUID();
    await house.rows(
      `insert into token_injections (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run,
                                     requested_at, sent_at, deadline_at)
       values ($1, 'METER001', 'METER001', $2, $3, 'test', 'test', gen_random_uuid(), now(), now(), now())`,
      id,
      Buffer.from(token),
      token.slice(-4),
    );
    const ending: Ending = {
      id,
      meterId: 'METER001',
      status: 'success',
      code: null,
      refusal: null,
      reason: null,
      units: 20_000,
      answer: '{}',
      answeredAt: Date.now(),
      vendorStatus: 202,
      vendorAttempts: 1,
      wasSent: true,
      late: false,
      caller: 'test',
    };
    const records = createInjectionRecords(database);
    const signal = AbortSignal.timeout(10_000);
    assert.deepEqual(await Promise.all([records.end(ending, signal), records.end({ ...ending }, signal)]), [
      true,
      false,
    ]);
    assert.deepEqual(
      await house.rows(
        `select balance::float8 as units from accounts where meter_id = 'METER001' and kind = 'units'`,
      ),
      [{ units: 2 }],
    );
    assert.equal(await discrepancies(database), 0);
  });
});
