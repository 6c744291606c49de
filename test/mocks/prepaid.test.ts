import assert from 'node:assert/strict';
import { createPrepaid, type Prepaid } from '../../src/mocks/prepaid.js';
import { relayAt } from '../../src/mocks/relay.js';

const start = Date.parse('2026-11-20T12:00:00Z');
const second = 1_000;

describe('The prepaid part of a meter', () => {
  let meter: Prepaid;
  let time: number;
  beforeEach(() => {
    time = start;
    meter = createPrepaid({ reportSeconds: 30, reportsMax: 4 }, start);
  });

  /** The load draws `watts` for so long, measured every second. */
  function draw(watts: number, seconds: number): void {
    for (let i = 0; i < seconds; i += 1) meter.measure((time += second), watts);
  }
  const credit = (balance: number, timestamp = time): string => meter.take({ balance, timestamp });

  it('has its relay on exactly while the balance is above 0 [P-7]', () => {
    for (const [balance, relay] of [
      [null, 'off'],
      [-1, 'off'],
      [0, 'off'],
      [1, 'on'],
    ] as const) {
      assert.equal(relayAt(balance), relay);
    }
  });

  it('gives nothing away before it knows its balance', () => {
    draw(9_000, 60);
    assert.deepEqual([meter.balance, meter.relay, meter.total], [null, 'off', 0]);
    assert.equal(meter.close(time, 'always'), undefined);
  });

  it('keeps the relay on a second after it went on, and opens it when the balance is used up: not below 0', () => {
    credit(100);
    assert.equal(meter.relay, 'on');
    draw(1_000, 1);
    assert.equal(meter.relay, 'on');
    draw(9_000, 10);
    assert.deepEqual([meter.balance, meter.relay, meter.total], [0, 'off', 100]);
    draw(9_000, 60);
    assert.equal(meter.total, 100);
  });

  it('goes from 10.5 to 10.4952 with a report of 0.0048, as in the original example', () => {
    credit(105_000);
    draw(576, 30);
    assert.deepEqual(meter.close(time, 'due'), {
      units: 48,
      remaining: 104_952,
      total: 48,
      timestamp: time,
    });
  });

  it('carries what is below 0.0001 kWh: a day of one watt is 0.0240 kWh, no more and no less', () => {
    credit(10_000);
    let reported = 0;
    for (let minute = 0; minute < 24 * 60; minute += 1) {
      draw(1, 60);
      reported += meter.close(time, 'always')?.units ?? 0;
      for (let one = meter.reports.next(); one; one = meter.reports.next()) meter.reports.acknowledged(one);
    }
    assert.deepEqual([reported, meter.total, meter.balance], [240, 240, 9_760]);
  });

  it('batches the measurements of 30 s into one report, and reports nothing when nothing was drawn', () => {
    credit(100_000);
    draw(3_600, 29);
    assert.equal(meter.close(time, 'due'), undefined);
    draw(3_600, 1);
    assert.equal(meter.close(time, 'due')?.units, 300);
    draw(0, 30);
    assert.equal(meter.close(time, 'due'), undefined);
  });

  it('takes commands with a newer timestamp only, and knows the very same one again', () => {
    assert.equal(credit(50_000, 7), 'taken');
    assert.equal(credit(80_000, 6), 'old');
    assert.equal(credit(90_000, 7), 'repeated');
    assert.equal(meter.balance, 50_000);
    assert.equal(credit(20_000, 8), 'taken');
    assert.equal(meter.balance, 20_000);
  });

  it('subtracts from a command what the ledger cannot know yet: measured, buffered, under way', () => {
    credit(50_000);
    draw(3_600, 30);
    meter.close(time, 'due');
    draw(3_600, 30);
    meter.close(time, 'due');
    const sent = meter.reports.next();
    draw(3_600, 5);
    credit(150_000, time);
    assert.equal(meter.balance, 150_000 - 650);
    meter.reports.acknowledged(sent ?? assert.fail('nothing to send'));
    credit(149_700, time + 1);
    assert.equal(meter.balance, 149_700 - 350);
  });

  it('never gives two reports the same timestamp, also when its clock is set back', () => {
    credit(50_000);
    draw(3_600, 30);
    const first = meter.close(time, 'due');
    draw(3_600, 10);
    time -= 3_600 * second;
    meter.measure(time, 3_600);
    const second_ = meter.close(time, 'due');
    assert.equal(second_?.timestamp, (first?.timestamp ?? 0) + 1);
    assert.equal(second_?.units, 100, 'the hour backwards is neither drawn nor lost');
  });

  it('measures nothing over the time in which the process slept', () => {
    credit(50_000);
    draw(3_600, 1);
    meter.measure((time += 3_600 * second), 3_600);
    draw(3_600, 1);
    assert.equal(meter.total, 20);
  });

  it('loses the session counter in a reboot, and neither balance nor reports nor last command', () => {
    credit(50_000, 9);
    draw(3_600, 30);
    meter.close(time, 'due');
    draw(3_600, 10);
    meter.reboot(time);
    assert.deepEqual([meter.total, meter.balance, meter.reports.size], [0, 49_600, 1]);
    assert.equal(credit(90_000, 9), 'repeated');
    draw(3_600, 30);
    const { units, total, remaining } = meter.close(time, 'due') ?? assert.fail('no report');
    assert.deepEqual([units, total, remaining], [400, 300, 49_300]);
  });

  it('keeps the energy of a long time offline in as many reports as it has room for', () => {
    credit(500_000);
    for (let report = 0; report < 50; report += 1) {
      draw(3_600, 30);
      meter.close(time, 'due');
    }
    const left = [];
    for (let one = meter.reports.next(); one; one = meter.reports.next()) left.push(one);
    assert.deepEqual([left.length, meter.reports.merged], [4, 46]);
    assert.equal(
      left.reduce((sum, { units }) => sum + units, 0),
      50 * 300,
    );
    assert.deepEqual(
      left.map(({ remaining, total }) => remaining + total),
      Array.from({ length: 4 }, () => 500_000),
    );
    assert.deepEqual(
      left.map(({ timestamp }) => timestamp),
      [47, 48, 49, 50].map((count) => start + count * 30 * second),
    );
  });
});
