import assert from 'node:assert/strict';
import { createInjectionHistory } from '../../src/tokens/history.js';
import { openInjectionHouse, otherToken, token, type InjectionHouse } from './injection-house.js';

describe('Tokens seen before [H-11]', () => {
  let house: InjectionHouse;
  beforeEach(async () => {
    house = await openInjectionHouse();
  });
  afterEach(() => house.close());

  it('are found by a filter of the history: the same digits, whatever became of the first, and no others', async () => {
    const injections = house.open();
    house.onOrder = () => ({ status: 422 });
    for (const credit_token of [token, otherToken, token, token])
      await injections.inject({ meter_number: 'METER001', credit_token }, 'test');
    await injections.inject({ meter_number: 'METER002', credit_token: '29054347139309851356' }, 'test');
    const history = createInjectionHistory(house.database.database);
    const all = await history.list();
    assert.equal(all.total, 5);
    const { data, total } = await history.list({ seen_before: 'true' });
    assert.equal(total, 2);
    assert.deepEqual(
      data.map(({ token_last4, seen_before }) => [token_last4, seen_before]),
      [
        ['9281', 2],
        ['9281', 1],
      ],
    );
    assert.equal((await history.list({ seen_before: 'true', meter_id: 'METER002' })).total, 0);
  });
});
