import assert from 'node:assert/strict';
import { reverse } from '../../src/ledger/reversal.js';
import { createAcceptance, type Acceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { followUp, type ExpiredPrompt } from '../../src/payments/follow-up.js';
import type { Payment } from '../../src/payments/payment.js';
import { createPrompts, type Prompts, type StartedPrompt } from '../../src/payments/prompts.js';
import type { PromptAnswer, PromptFate, Provider } from '../../src/payments/provider.js';
import { writtenTime } from '../../src/payments/provider-values.js';
import { parseStkResult } from '../../src/payments/stk-result.js';
import { DomainError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';
import { c2bBody, openHouse, stkBody, type House } from './callbacks.js';
import { listenForCallbacks, openProvider } from './provider-house.js';

const signal = new AbortController().signal;

describe('payment prompts', () => {
  let house: House;
  let acceptance: Acceptance;
  let closing: AbortController;
  let following: Promise<void>;
  let settled: Payment[];
  let expired: ExpiredPrompt[];
  let problems: (string | null)[];

  beforeEach(async () => {
    house = await openHouse();
    acceptance = createAcceptance(house.database, { shortCode: null });
    closing = new AbortController();
    following = Promise.resolve();
    settled = [];
    expired = [];
    problems = [];
  });
  afterEach(async () => {
    closing.abort();
    await following;
    assert.deepEqual(await house.faults(), []);
    await house.drop();
  });

  const promptsOf = (provider: Provider | undefined): Prompts =>
    createPrompts(house.database, { provider, callbackUrl: 'http://127.0.0.1:9/stk/secret', askAfterMs: 1 });
  const ask = (prompts: Prompts, body: object = {}): Promise<StartedPrompt> =>
    prompts.request(
      { meter_number: 'METER001', amount: 100, phone_number: '0712345678', ...body },
      'olga',
      signal,
    );
  const stored = async () =>
    (
      await house.rows(`select state, checkout_request_id, result_code, result_desc, payment_id is not null as paid, receipt, caller
                          from payment_prompts order by id desc limit 1`)
    )[0];

  function follow(provider: Provider, expireMs = 60_000): void {
    following = followUp(
      house.database,
      {
        provider,
        acceptance,
        everyMs: 20,
        againMs: 20,
        expireMs,
        onSettled: (payment) => settled.push(payment),
        onExpired: (prompt) => expired.push(prompt),
        onProblem: (reason) => problems.push(reason),
      },
      closing.signal,
    );
  }

  /** A provider that answers as told, and counts what it is asked. */
  function played(answer: PromptAnswer | Error, fate: PromptFate | Error = { outcome: 'pending' }) {
    const asked: string[] = [];
    const orders: object[] = [];
    const provider: Provider = {
      shortCode: '600638',
      prompt(order) {
        orders.push(order);
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
      fateOf(id) {
        asked.push(id);
        return fate instanceof Error ? Promise.reject(fate) : Promise.resolve(fate);
      },
    };
    return { provider, asked, orders };
  }
  const prompted: PromptAnswer = {
    outcome: 'prompted',
    checkout_request_id: 'ws_CO_1',
    merchant_request_id: 'm-1',
    message: 'Success.',
  };
  const success: PromptFate = {
    outcome: 'settled',
    result_code: '0',
    result_desc: 'The service request is processed successfully.',
    receipt: null,
    details: {},
  };
  const away = new DomainError('PAYMENT_UNAVAILABLE', 'The payment provider cannot be reached.');

  it('are stored with the provider’s id, and answered with it', async () => {
    const { provider, orders } = played(prompted);
    const { requested_at, ...prompt } = await ask(promptsOf(provider), { meter_number: '09000030529' });
    assert.deepEqual(prompt, {
      checkout_request_id: 'ws_CO_1',
      merchant_request_id: 'm-1',
      state: 'open',
      meter_number: '09000030529',
      meter_id: 'METER001',
      amount: 100,
      currency: 'KES',
      phone_number: '254712345678',
      message: 'Success.',
    });
    assert.ok(Math.abs(Date.parse(requested_at) - Date.now()) < 10_000);
    assert.deepEqual(orders, [
      {
        phone_number: '254712345678',
        amount: 100,
        reference: '09000030529',
        callbackUrl: 'http://127.0.0.1:9/stk/secret',
      },
    ]);
    assert.deepEqual(await stored(), {
      state: 'open',
      checkout_request_id: 'ws_CO_1',
      result_code: null,
      result_desc: null,
      paid: false,
      receipt: null,
      caller: 'olga',
    });
  });

  it('show the customer a reference when the meter number has more than 12 characters', async () => {
    await house.register('A-METER-WITH-A-LONG-NAME');
    const { provider, orders } = played(prompted);
    await ask(promptsOf(provider), { meter_number: 'A-METER-WITH-A-LONG-NAME' });
    const { reference } = orders[0] as { reference: string };
    assert.match(reference, /^MF[0-9A-Z]{1,10}$/);
    const bill = await acceptance.accept(parseC2bNotice(c2bBody({ BillRefNumber: reference })), { signal });
    assert.equal(bill.meter_id, 'A-METER-WITH-A-LONG-NAME');
  });

  const wrong: readonly [title: string, body: object, code: string, path?: string][] = [
    ['no meter', { meter_number: undefined }, 'SCHEMA_INVALID', '/meter_number'],
    ['a number for a meter number', { meter_number: 9000030529 }, 'SCHEMA_INVALID', '/meter_number'],
    ['an unknown meter', { meter_number: 'NOBODY' }, 'METER_UNKNOWN'],
    ['nothing to pay', { amount: 0 }, 'SCHEMA_INVALID', '/amount'],
    ['cents', { amount: 99.5 }, 'SCHEMA_INVALID', '/amount'],
    ['too much', { amount: 250_001 }, 'SCHEMA_INVALID', '/amount'],
    ['no phone', { phone_number: 'mine' }, 'SCHEMA_INVALID', '/phone_number'],
  ];
  for (const [title, body, code, path] of wrong) {
    it(`are refused with ${title}: ${code}, and nobody is asked`, async () => {
      const { provider, orders } = played(prompted);
      await assert.rejects(ask(promptsOf(provider), body), (error: DomainError) => {
        assert.equal(error.code, code);
        if (path !== undefined)
          assert.deepEqual(
            error.details?.map((detail) => detail.path),
            [path],
          );
        return true;
      });
      assert.deepEqual([orders, await stored()], [[], undefined]);
    });
  }

  it('are refused without a provider, and when it refuses or is silent, which is kept', async () => {
    await assert.rejects(ask(promptsOf(undefined)), { code: 'PAYMENT_NOT_SET_UP' });
    const refusal = { outcome: 'refused', code: '400.002.02', reason: '400.002.02: Invalid Amount' } as const;
    await assert.rejects(ask(promptsOf(played(refusal).provider)), {
      code: 'PAYMENT_UNAVAILABLE',
      message: 'The payment provider refused the prompt: 400.002.02: Invalid Amount.',
    });
    assert.deepEqual(
      [(await stored())?.['state'], (await stored())?.['result_code']],
      ['failed', '400.002.02'],
    );
    await assert.rejects(ask(promptsOf(played(away).provider)), away);
    assert.deepEqual(
      [(await stored())?.['state'], (await stored())?.['result_desc']],
      ['expired', 'The payment provider cannot be reached.'],
    );
  });

  it('without a callback are asked about, and credited once; what comes after all is a duplicate', async () => {
    const { provider } = played(prompted, success);
    await ask(promptsOf(provider));
    follow(provider);
    await eventually(() => settled.length === 1);
    const [payment] = settled;
    assert.deepEqual(
      [
        payment?.outcome,
        payment?.channel,
        payment?.receipt,
        payment?.amount,
        payment?.meter_id,
        payment?.units,
      ],
      ['accepted', 'query', 'ws_CO_1', 100, 'METER001', 4],
    );
    const late = await acceptance.accept(parseStkResult(stkBody('ws_CO_1')), { signal });
    assert.deepEqual([late.outcome, late.id], ['duplicate', payment?.id]);
    const at = writtenTime(Date.now());
    const bill = parseC2bNotice(c2bBody({ TransID: 'nlj7rt61sv', TransTime: at }));
    assert.equal((await acceptance.accept(bill, { signal })).outcome, 'duplicate');
    assert.equal((await stored())?.['receipt'], 'NLJ7RT61SV');
    assert.equal(await house.balance('METER001'), 4);
    // The customer knows the receipt, hence so does the operator.
    await reverse(house.database, 'nlj7rt61sv', { name: 'olga' }, 'paid by mistake');
    assert.equal(await house.balance('METER001'), 0);
  });

  it('credited by asking are not credited again by the bill’s confirmation, but the next bill is', async () => {
    const { provider } = played(prompted, success);
    await ask(promptsOf(provider));
    follow(provider);
    await eventually(() => settled.length === 1);
    const bill = (TransID: string) =>
      acceptance.accept(parseC2bNotice(c2bBody({ TransID, TransTime: writtenTime(Date.now()) })), { signal });
    assert.equal((await bill('BILL000001')).outcome, 'duplicate');
    assert.equal((await bill('BILL000001')).outcome, 'duplicate');
    assert.equal((await bill('BILL000002')).outcome, 'accepted');
    // The result of the prompt itself names the receipt that the first bill had.
    const late = await acceptance.accept(parseStkResult(stkBody('ws_CO_1', { receipt: 'BILL000001' })), {
      signal,
    });
    assert.equal(late.outcome, 'duplicate');
    assert.equal(await house.balance('METER001'), 8);
  });

  it('whose bill was confirmed already are closed by asking, without a second credit', async () => {
    const { provider } = played(prompted, success);
    await ask(promptsOf(provider));
    const paid = await acceptance.accept(parseC2bNotice(c2bBody({ TransTime: writtenTime(Date.now()) })), {
      signal,
    });
    assert.equal(paid.outcome, 'accepted');
    follow(provider);
    await eventually(async () => (await stored())?.['state'] === 'succeeded');
    await eventually(() => settled.length === 1);
    assert.deepEqual([settled[0]?.outcome, settled[0]?.id], ['duplicate', paid.id]);
    assert.equal(await house.balance('METER001'), 4);
  });

  it('that the provider calls failed are closed as failed, once, and a success is not overturned', async () => {
    const failure: PromptFate = {
      ...success,
      result_code: '1032',
      result_desc: 'Request cancelled by user.',
    };
    const { provider } = played(prompted, failure);
    await ask(promptsOf(provider));
    follow(provider);
    await eventually(() => settled.length === 1);
    assert.deepEqual([settled[0]?.outcome, settled[0]?.result_code], ['failed', '1032']);
    assert.deepEqual([(await stored())?.['state'], (await stored())?.['paid']], ['failed', true]);

    // Asked just before the callback came, answered after it.
    let answerNow: (fate: PromptFate) => void = () => undefined;
    const slow: Provider = {
      ...provider,
      prompt: () => Promise.resolve({ ...prompted, checkout_request_id: 'ws_CO_2' }),
      fateOf: () => new Promise((settle) => (answerNow = settle)),
    };
    closing.abort();
    await following;
    closing = new AbortController();
    await ask(promptsOf(slow));
    let isAsked = false;
    follow({
      ...slow,
      fateOf: (id, wait) => {
        isAsked = true;
        return slow.fateOf(id, wait);
      },
    });
    await eventually(() => isAsked);
    assert.equal(
      (await acceptance.accept(parseStkResult(stkBody('ws_CO_2')), { signal })).outcome,
      'accepted',
    );
    answerNow(failure);
    await eventually(() => settled.length === 2);
    assert.equal(settled[1]?.outcome, 'duplicate');
    assert.equal((await stored())?.['state'], 'succeeded');
    assert.equal(await house.balance('METER001'), 4);
  });

  it('expire when nobody can say; a success that comes later still counts', async () => {
    const { provider, asked } = played(prompted);
    await ask(promptsOf(provider));
    follow(provider, 100);
    await eventually(() => expired.length === 1);
    assert.ok(asked.length >= 1);
    const { requested_at, ...prompt } = expired[0] ?? { requested_at: '' };
    assert.deepEqual(prompt, {
      outcome: 'expired',
      checkout_request_id: 'ws_CO_1',
      meter_number: 'METER001',
      meter_id: 'METER001',
      amount: 100,
      currency: 'KES',
    });
    assert.ok(Date.parse(requested_at) <= Date.now());
    const late = await acceptance.accept(parseStkResult(stkBody('ws_CO_1')), { signal });
    assert.equal(late.outcome, 'accepted');
    assert.equal((await stored())?.['state'], 'succeeded');
  });

  it('stay open while the provider is away, which is told, and are settled when it is back', async () => {
    const down = played(prompted, away);
    await ask(promptsOf(down.provider));
    let fate: PromptFate | Error = away;
    const provider: Provider = {
      ...down.provider,
      fateOf: () => (fate instanceof Error ? Promise.reject(fate) : Promise.resolve(fate)),
    };
    follow(provider, 1);
    await eventually(() => problems.includes('The payment provider cannot be reached.'));
    assert.equal((await stored())?.['state'], 'open');
    fate = success;
    await eventually(() => settled.length === 1);
    assert.equal((await stored())?.['state'], 'succeeded');
    assert.deepEqual(expired, []);
  });

  it('whose request was never answered expire', async () => {
    await house.prompt('unused', {
      checkout_request_id: null,
      state: 'requested',
      ask_at: new Date(Date.now() - 1_000),
    });
    follow(played(prompted).provider);
    await eventually(() => expired.length === 1);
    assert.equal((await stored())?.['result_desc'], 'the provider never answered');
  });

  it('are asked about by one instance at a time', async () => {
    const { provider, asked } = played(prompted);
    for (let at = 0; at < 25; at++)
      await house.prompt(`ws_CO_${at}`, { ask_at: new Date(Date.now() - 1_000), requested_at: new Date() });
    const others = [1, 2, 3].map(() =>
      followUp(
        house.database,
        {
          provider,
          acceptance,
          everyMs: 10,
          againMs: 60_000,
          expireMs: 60_000,
          onSettled: () => undefined,
          onExpired: () => undefined,
          onProblem: () => undefined,
        },
        closing.signal,
      ),
    );
    await eventually(async () => {
      const [row] = await house.rows<{ waiting: number }>(
        'select count(*)::int as waiting from payment_prompts where ask_at <= now()',
      );
      return row?.waiting === 0;
    });
    closing.abort();
    await Promise.all(others);
    assert.deepEqual([...asked].sort(), Array.from({ length: 25 }, (_, at) => `ws_CO_${at}`).sort());
  });

  it('come through with every callback lost, doubled or late: each payment counts once', async () => {
    const listener = await listenForCallbacks();
    const outcomes: Payment[] = [];
    // What the listener hears goes straight into acceptance, as the node would do.
    let heard = 0;
    const pump = (async () => {
      while (!closing.signal.aborted) {
        const next = listener.received[heard];
        if (next === undefined) await new Promise((settle) => setImmediate(settle));
        else {
          heard += 1;
          const parse = next.path === '/stk' ? parseStkResult : parseC2bNotice;
          outcomes.push(await acceptance.accept(parse(next.body), { signal }));
        }
      }
    })();
    const simulated = await openProvider({
      seed: 11,
      refusing: 0.2,
      answerMs: 30,
      delay: { minMs: 0, maxMs: 40 },
      mishaps: { lost: 0.3, doubled: 0.4, late: 0.3 },
      bothChannels: true,
      urls: { confirmation: `${listener.url}/confirmation`, validation: null, unanswered: 'Completed' },
    });
    try {
      const meters = Array.from({ length: 20 }, (_, at) => `SIM${at}`);
      for (const meter of meters) await house.register(meter);
      const prompts = createPrompts(house.database, {
        provider: simulated.provider,
        callbackUrl: `${listener.url}/stk`,
        askAfterMs: 300,
      });
      await Promise.all(
        meters.map((meter_number, at) =>
          ask(prompts, { meter_number, phone_number: `2547000100${10 + at}` }),
        ),
      );
      follow(simulated.provider);
      await eventually(
        async () => {
          const rows = await house.rows(`select from payment_prompts where state in ('requested', 'open')`);
          return rows.length === 0 && simulated.simulator.open === 0 && heard === listener.received.length;
        },
        { timeoutMs: 20_000 },
      );
      closing.abort();
      await pump;
      const taken = simulated.simulator.taken();
      assert.ok(taken.length > 8 && taken.length < 20, `${taken.length} paid`);
      let units = 0;
      for (const meter of meters) units += await house.balance(meter);
      assert.equal(units, taken.length * 4);
      assert.ok(outcomes.some(({ outcome }) => outcome === 'duplicate'));
      assert.deepEqual(
        outcomes.filter(({ outcome }) => outcome === 'disputed'),
        [],
      );
    } finally {
      await simulated.close();
      await listener.close();
    }
  });
});
