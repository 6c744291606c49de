import assert from 'node:assert/strict';
import { prepareTariff } from '../../appliance/tariff.js';
import type { Progress } from '../../appliance/progress.js';
import { listTariffs } from '../../src/ledger/tariffs.js';
import { parseEnvironment } from '../../src/operation/environment.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('the first start', () => {
  let test: TestDatabase;
  let warnings: string[];
  beforeEach(async () => {
    test = await createTestDatabase();
    warnings = [];
  });
  afterEach(() => test.drop());

  const progress: Progress = {
    step: async (_name, _waitingFor, work) => work(),
    note: () => {},
    warn: (text) => warnings.push(text),
    addresses: () => {},
  };
  const start = (settings: Record<string, string>) =>
    prepareTariff(parseEnvironment(settings), test.database, progress);

  it('makes the default tariff of its settings, later ones only tell that they change nothing', async () => {
    await start({
      TARIFF_PRICE_PER_UNIT: '31.5',
      TARIFF_CURRENCY: 'UGX',
      BILLING_TIMEZONE: 'Africa/Kampala',
    });
    await start({});
    assert.deepEqual(warnings, []);
    await start({ TARIFF_PRICE_PER_UNIT: '31.50', TARIFF_CURRENCY: 'KES' });
    assert.deepEqual(warnings, [
      'TARIFF_CURRENCY changes nothing: the default tariff was made with UGX; add a version to it',
    ]);
    const [only, ...others] = await listTariffs(test.database);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [only?.blocks, only?.currency, only?.time_zone, only?.current],
      [[{ from: 0, price: 31.5 }], 'UGX', 'Africa/Kampala', true],
    );
  });
});
