import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createBalanceAsking } from '../../../src/mocks/balance-asking.js';
import {
  confirmationText,
  consumptionText,
  parseBalanceCommand,
} from '../../../src/mocks/prepaid-messages.js';
import { createPrepaid } from '../../../src/mocks/prepaid.js';
import { drawn } from '../../../src/mocks/seeded.js';
import { createTokenSlot } from '../../../src/mocks/virtual-token.js';
import { canonicalString, hmacSignature } from '../../../src/readings/signature.js';
import { checkExampleSettings, compileLogic, workFolder } from './compile.js';

const start = Date.parse('2026-11-20T12:00:00Z');

describe('The rules about money in the ESP32 sketch', function () {
  this.timeout(120_000);
  let folder: string;
  let program: string;
  before(async () => {
    folder = workFolder();
    program = await compileLogic(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function answers(lines: readonly string[]): string[] {
    const { stdout, status } = spawnSync(program, {
      input: `${lines.join('\n')}\n`,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    assert.equal(status, 0);
    return stdout.trimEnd().split('\n');
  }

  for (const seed of [1, 2, 3]) {
    it(`are those of the virtual meter, over 20,000 random steps (seed ${seed})`, () => {
      let draw = 0;
      const random = (most: number): number => Math.floor(drawn(seed, 'esp32', (draw += 1)) * most);
      const meter = createPrepaid({ reportSeconds: 30, reportsMax: 120 }, start);
      let time = start;
      let newest = start;
      let isOffline = false;
      let underWay: ReturnType<typeof meter.reports.next>;
      const script: string[] = [];
      const expected: string[] = [];
      const state = (): string => `${meter.balance ?? 0} ${meter.total} ${meter.relay}`;

      const steps: (() => void)[] = [
        () => {
          const [ms, watts] = [random(3_000), random(12_000)];
          meter.measure((time += ms), watts);
          script.push(`measure ${ms} ${watts}`);
          expected.push(state());
        },
        () => {
          time += random(100);
          // The sketch counts milliseconds of its own; the gap above is nobody's.
          meter.measure(time, 0);
          const clock = time - random(2) * random(5_000);
          meter.close(clock, 'always');
          script.push(`close ${clock}`);
          expected.push(state());
        },
        () => {
          if (random(10) > 0) return;
          newest += random(3) - 1;
          const command = { balance: random(20_000) - 500, timestamp: newest };
          const text = JSON.stringify({ balance: command.balance / 10_000, timestamp: newest });
          script.push(`take ${text}`);
          expected.push(`${meter.take(command)} ${confirmationText('METER001', command)}`);
        },
        () => {
          if (random(2) > 0 || isOffline) return;
          underWay ??= meter.reports.next();
          script.push('send');
          expected.push(underWay === undefined ? 'nothing' : consumptionText('METER001', underWay));
        },
        () => {
          if (underWay === undefined || isOffline || random(3) > 0) return;
          meter.reports.acknowledged(underWay);
          underWay = undefined;
          script.push('ack');
          expected.push(state());
        },
      ];
      for (let step = 0; step < 20_000; step += 1) {
        isOffline = step % 4_000 > 2_000;
        steps[random(steps.length)]?.();
      }
      // Empty both, to the last report.
      for (;;) {
        const report = underWay ?? meter.reports.next();
        underWay = undefined;
        script.push('send');
        expected.push(report === undefined ? 'nothing' : consumptionText('METER001', report));
        if (report === undefined) break;
        meter.reports.acknowledged(report);
        script.push('ack');
        expected.push(state());
      }
      assert.deepEqual(answers(script).map(stateOf), expected);
      assert.ok(
        meter.total > 1_000 && meter.reports.merged > 10,
        `${meter.total}, ${meter.reports.merged} merged`,
      );
    });
  }

  it('compile with the sketch and the settings that its reader copies', () => checkExampleSettings(folder));

  it('ask for the balance when the virtual meter does', () => {
    const asking = createBalanceAsking();
    const script: string[] = [];
    const expected: string[] = [];
    let time = 0;
    for (let step = 0; step < 5_000; step += 1) {
      const random = (name: string): number => drawn(9, name, step);
      time += Math.floor(random('time') * 4_000);
      const what = random('what');
      const unsure = random('unsure') < 0.3 ? 1 : 0;
      if (what < 0.05) asking.connected(time);
      else if (what < 0.2) asking.acknowledged(time);
      else if (what < 0.3) asking.taken(time, unsure);
      else expected.push(asking.isDue(time, unsure) ? 'due' : 'not due');
      const word = what < 0.05 ? 'connected' : what < 0.2 ? 'acknowledged' : what < 0.3 ? 'taken' : 'due';
      script.push(`${word} ${time} ${unsure}`);
    }
    assert.deepEqual(
      answers(script).filter((line) => line.endsWith('due')),
      expected,
    );
    assert.ok(expected.filter((line) => line === 'due').length > 50);
  });

  it('read every balance exactly, and refuse what is none', () => {
    const amounts = Array.from({ length: 5_000 }, (_, i) => Math.floor(drawn(1, 'amount', i) * 4e6) - 1e6);
    const texts = amounts.map((units, i) =>
      JSON.stringify({ balance: units / 10_000, timestamp: start + i }),
    );
    const confirmed = answers(texts.map((text) => `take ${text}`));
    confirmed.forEach((line, i) => {
      assert.equal(
        line,
        `taken ${confirmationText('METER001', { balance: amounts[i] ?? NaN, timestamp: start + i })}`,
      );
    });
    for (const good of [
      '{"balance":5.25,"timestamp":1}',
      ' { "timestamp" : 2 , "balance" : -0.0001 } ',
      '{"why":{"a":[1,"}"]},"text":"\\"balance\\":9","balance":7.50000,"timestamp":3,"ok":true}',
    ]) {
      const command = parseBalanceCommand(good);
      assert.ok(typeof command === 'object', good);
      assert.equal(answers([`take ${good}`])[0], `taken ${confirmationText('METER001', command)}`);
    }
    for (const bad of [
      '',
      '{',
      'null',
      '[]',
      '{"balance":"5","timestamp":1}',
      '{"balance":5.00001,"timestamp":1}',
      '{"balance":5}',
      '{"balance":5,"timestamp":1.5}',
      '{"balance":5,"timestamp":1} x',
      '{"balance":-,"timestamp":1}',
      '{"balance":99999999999999999999,"timestamp":1}',
      '{"balance":5,"timestamp":1,"text":"unfinished\\',
      `{"deep":${'['.repeat(50)}${']'.repeat(50)},"balance":5,"timestamp":1}`,
    ]) {
      assert.match(answers([`take ${bad}`])[0] ?? '', /^refused: /, bad);
    }
  });

  it('keep in a power failure the balance, the last command, and every unit deducted', () => {
    const before = [
      'take {"balance":10,"timestamp":5}',
      'measure 30000 3600',
      `close ${start}`,
      'send',
      'measure 30000 3600',
      `close ${start + 30_000}`,
      'measure 10000 3600',
    ];
    const [, , , sent] = answers(before);
    const lines = answers([
      ...before,
      'reboot',
      'take {"balance":99,"timestamp":5}',
      'send',
      'ack',
      `close ${start + 90_000}`,
      'send',
    ]).slice(before.length);
    assert.equal(stateOf(lines[0] ?? ''), '99300 0 on');
    assert.match(lines[1] ?? '', /^repeated/);
    assert.equal(lines[2], sent, 'as it was, so that it is known again');
    assert.deepEqual(JSON.parse(lines[5] ?? ''), {
      meterNo: 'METER001',
      unitsConsumed: 0.04,
      remainingBalance: 9.93,
      totalConsumed: 0,
      timestamp: start + 90_000,
    });
  });

  it('make one signed reading of every whole quarter of an hour in which something was drawn', () => {
    const minute = 60_000;
    const lines = answers([
      // The first quarter is not whole, in the third nothing is drawn.
      `count ${start - 5 * minute} 100`,
      `count ${start + 1} 300`,
      `count ${start + 14 * minute} 12700`,
      `count ${start + 15 * minute} 12800`,
      `count ${start + 30 * minute} 12800`,
      `count ${start + 45 * minute} 12801`,
      'quarter',
      'quarter',
      'quarter',
    ]).filter((line) => !line.includes('wifi_rssi'));
    const key = createSecretKey(
      Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex'),
    );
    const reading = (units: number, end: number): object => ({
      meter_id: 'METER001',
      kwh_amount: units / 10_000,
      reading_timestamp: end,
      device_signature: hmacSignature(canonicalString('METER001', units, end), key),
    });
    assert.deepEqual(
      lines.slice(0, 2).map((line) => JSON.parse(line) as object),
      [reading(12_500, start + 15 * minute), reading(1, start + 45 * minute)],
    );
    assert.equal(lines[2], 'nothing');
  });

  it('take a token once, as the virtual meter does, and the same message twice in the same way', () => {
    const usual = { refuses: null, answers: 1, delayed: false } as const;
    const slot = createTokenSlot();
    const tokens = [
      '54158492421732529281',
      '23716100501183194197',
      ...Array.from({ length: 500 }, (_, n) => `${BigInt(n) * 147_573_952_589_676_413n}`.padStart(20, '0')),
      '73786976294838206463',
      '73786976294838206464',
      '5415849242173252928',
      '23716100501183194197',
    ];
    const answered = answers(
      tokens.map((token, n) => `token {"credit_token":"${token}","message_id":"m-${n}"}`),
    );
    assert.deepEqual(
      answered.map((text) => [status(text), (JSON.parse(text) as { injected_units: number }).injected_units]),
      tokens.map((token) => {
        const verdict = slot.take(token, usual);
        return [verdict.status, verdict.units / 10_000];
      }),
    );
    const [first, again, other, bare] = answers([
      'token {"credit_token":"54158492421732529281","message_id":"m-1"}',
      'token {"credit_token":"54158492421732529281","message_id":"m-1"}',
      'token {"credit_token":"54158492421732529281","message_id":"m-2"}',
      'token 23716100501183194197',
    ]);
    assert.deepEqual(JSON.parse(first ?? ''), {
      meter_number: 'METER001',
      status: 'success',
      injected_units: 2,
      message: 'ACCEPT',
      message_id: 'm-1',
    });
    assert.equal(again, first);
    assert.deepEqual([status(other ?? ''), status(bare ?? '')], ['used', 'success']);
    const refused = answers([
      'token {"credit_token":5}',
      'token []',
      `token {"credit_token":"${'1'.repeat(30)}"}`,
      'token {"credit_token":"54158492421732529281","message_id":"a\\"b"}',
    ]);
    assert.deepEqual(refused.slice(0, 3), [
      'refused: credit_token is not a short string',
      'refused: it is not a JSON object',
      'refused: credit_token is not a short string',
    ]);
    assert.ok(!refused[3]?.includes('message_id'));
  });
});

const status = (text: string): string => (JSON.parse(text) as { status: string }).status;

/** What the program shows after a step: balance, total (in the place of the time) and relay; other lines as they are. */
function stateOf(line: string): string {
  if (!line.includes('"wifi_rssi"')) return line;
  const { balance, timestamp, message } = JSON.parse(line) as {
    balance: number;
    timestamp: number;
    message: string;
  };
  return `${Math.round(balance * 10_000)} ${timestamp} ${/supply is off/.test(message) ? 'off' : 'on'}`;
}
