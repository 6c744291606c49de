import assert from 'node:assert/strict';
import { base58 } from '../../../src/mocks/minting/base58.js';
import {
  createMintingSimulator,
  type MintSaid,
  type SimulatedMint,
} from '../../../src/mocks/minting/simulator.js';

const never = { refuse: 0, lose: 0, pend: 0, busy: 0 };
const order = (wallet_address = 'somebody', kwh_amount = 1.25) => ({ wallet_address, kwh_amount });
const signatureOf = ({ body }: MintSaid): unknown => (body as Partial<SimulatedMint>).tx_signature;

describe('the simulated minting service', () => {
  let mints: SimulatedMint[];
  let now: number;
  const start = (rates: Partial<typeof never> = {}) => {
    mints = [];
    now = 1;
    const settings = { seed: 1, rates: { ...never, ...rates }, pendMs: 1_000 };
    return createMintingSimulator(
      settings,
      (mint) => void mints.push(mint),
      () => now,
    );
  };

  it('mints once for a key, and says the same again, also when it was started anew', () => {
    const service = start();
    const first = service.mint('k1', order());
    assert.deepEqual([first.status, mints.length], [200, 1]);
    assert.deepEqual(service.mint('k1', order()), first);
    assert.equal(signatureOf(service.ask('k1')), signatureOf(first));
    assert.equal(mints.length, 1);
    assert.notEqual(signatureOf(service.mint('k2', order())), signatureOf(first));
    assert.equal(signatureOf(start().mint('k1', order())), signatureOf(first));
  });

  it('refuses a key that comes with something else', () => {
    const service = start();
    service.mint('k1', order());
    assert.equal(service.mint('k1', order('somebody', 2)).status, 422);
    assert.equal(service.mint('k1', order('another')).status, 422);
    assert.equal(mints.length, 1);
  });

  it('knows nothing of a key that never came', () => {
    assert.equal(start().ask('k1').status, 404);
  });

  const wrong: readonly [key: unknown, body: unknown][] = [
    [undefined, order()],
    ['', order()],
    ['k1', null],
    ['k1', { kwh_amount: 1 }],
    ['k1', order('somebody', 0)],
    ['k1', order('somebody', Number.NaN)],
  ];
  for (const [key, body] of wrong) {
    it(`refuses ${JSON.stringify([key, body])}`, () => {
      assert.equal(start().mint(key, body).status, 400);
      assert.equal(mints.length, 0);
    });
  }

  it('does by the end of the wallet what may go wrong', () => {
    const service = start();
    assert.deepEqual([service.mint('r', order('w-refuse')).status, mints.length], [422, 0]);
    const lost = service.mint('l', order('w-lose'));
    assert.deepEqual([lost.isLost, mints.length], [true, 1]);
    assert.equal(service.ask('l').status, 200);
    assert.equal(service.mint('b', order('w-busy')).status, 503);
    assert.equal(service.mint('b', order('w-busy')).status, 200);
    assert.equal(service.mint('p', order('w-pend')).status, 202);
    assert.equal(service.ask('p').status, 202);
    now += 1_000;
    assert.equal(service.ask('p').status, 200);
    assert.equal(mints.length, 3);
  });

  it('does it by rates and seed, too', () => {
    const service = start({ refuse: 0.25 });
    const refused = Array.from({ length: 1_000 }, (_, n) => service.mint(`k${n}`, order())).filter(
      ({ status }) => status === 422,
    ).length;
    assert.ok(refused > 200 && refused < 300, String(refused));
  });

  it('writes base 58 as others do', () => {
    // Of the draft of base58, and of bitcoin's tests.
    assert.equal(base58(Buffer.from('Hello World!')), '2NEpo7TZRRrLZSi2U');
    assert.equal(base58(Buffer.from('0000287fb4cd', 'hex')), '11233QC4');
    assert.equal(base58(new Uint8Array()), '');
  });
});
