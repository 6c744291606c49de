import assert from 'node:assert/strict';
import {
  confirmationText,
  consumptionText,
  fourDecimals,
  parseBalanceCommand,
  statusText,
} from '../../src/mocks/prepaid-messages.js';
import { fatesOf } from '../../src/mocks/mishaps.js';

const timestamp = 1_698_765_432_000;

describe('The messages of a prepaid meter', () => {
  it('look as in the original documents', () => {
    assert.equal(
      consumptionText('METER001', { units: 48, remaining: 104_952, total: 48, timestamp }),
      '{"meterNo":"METER001","unitsConsumed":0.0048,"remainingBalance":10.4952,"totalConsumed":0.0048,"timestamp":1698765432000}',
    );
    const status = { status: 'online', message: 'Device operating normally' } as const;
    assert.equal(
      statusText('METER001', status, { balance: 104_952, rssi: -65, timestamp }),
      '{"meterNo":"METER001","status":"online","message":"Device operating normally","balance":10.4952,"wifi_rssi":-65,"timestamp":1698765432000}',
    );
    assert.equal(
      confirmationText('METER001', { balance: 105_000, timestamp }),
      '{"meterNo":"METER001","balance":10.5,"timestamp":1698765432000}',
    );
    assert.equal(fourDecimals(105_000), '10.5000');
  });

  it('have four exact decimals, whatever the amount', () => {
    for (let units = 0; units < 200_000; units += 1) {
      const { unitsConsumed } = JSON.parse(
        consumptionText('M', { units, remaining: units, total: units, timestamp }),
      ) as { unitsConsumed: number };
      const decimals = String(unitsConsumed).split('.')[1]?.length ?? 0;
      // 0.0001 and above are never written with an exponent.
      if (decimals > 4 || Math.round(unitsConsumed * 10_000) !== units)
        assert.fail(`${units}: ${unitsConsumed}`);
    }
  });

  it('a balance command is understood, or refused with the reason', () => {
    assert.deepEqual(parseBalanceCommand('{"balance":5.25,"timestamp":1698765432000}'), {
      balance: 52_500,
      timestamp,
    });
    assert.deepEqual(parseBalanceCommand('{"balance":-0.0001,"timestamp":1,"more":true}'), {
      balance: -1,
      timestamp: 1,
    });
    for (const [text, reason] of [
      ['{', /not JSON/],
      ['null', /not an object/],
      ['[]', /balance is not a number/],
      ['{"balance":"5","timestamp":1}', /balance is not a number/],
      ['{"balance":5.00001,"timestamp":1}', /four decimals/],
      ['{"balance":1e400,"timestamp":1}', /four decimals/],
      ['{"balance":5}', /timestamp/],
      ['{"balance":5,"timestamp":1.5}', /timestamp/],
    ] as const) {
      const refused = parseBalanceCommand(text);
      assert.ok(typeof refused === 'string', text);
      assert.match(refused, reason, text);
    }
  });

  it('get lost and doubled at the given rate, the same ones for the same seed', () => {
    const draw = (seed: number, rates: { lost: number; doubled: number }): string[] => {
      const fate = fatesOf(seed, 'DEMO-01', rates);
      return Array.from({ length: 2_000 }, fate);
    };
    const rates = { lost: 0.1, doubled: 0.2 };
    const share = (fate: string): number => draw(1, rates).filter((one) => one === fate).length / 2_000;
    assert.ok(Math.abs(share('lost') - 0.1) < 0.03 && Math.abs(share('doubled') - 0.2) < 0.03);
    assert.deepEqual(draw(1, rates), draw(1, rates));
    assert.notDeepEqual(draw(1, rates), draw(2, rates));
    assert.ok(draw(1, { lost: 0, doubled: 0 }).every((one) => one === 'arrives'));
  });
});
