import assert from 'node:assert/strict';
import type { Database } from '../../src/database/database.js';
import type { MeterAnswer } from '../../src/tokens/answer.js';
import type { OpenToken } from '../../src/tokens/attribution.js';
import { noEarlierTokens, type EarlierTokens } from '../../src/tokens/earlier.js';
import { createNamelessAnswers } from '../../src/tokens/nameless.js';
import { recentAnswersOf } from '../../src/tokens/recent-answers.js';

const token = (id: string): OpenToken => ({ id, token: id, caller: '', deliveries: 1, isConfirmed: false });

function answer(units: number | null): MeterAnswer {
  const outcome = units === null ? 'used' : 'success';
  return {
    outcome,
    units,
    message: null,
    meter_number: null,
    token: null,
    message_id: null,
    data: { units },
  };
}

describe('What is known of answers to a token that waits', () => {
  const opened: { close(): void }[] = [];
  afterEach(() => {
    for (const one of opened.splice(0)) one.close();
  });

  function open(earlier: Partial<EarlierTokens> = {}) {
    const told: string[] = [];
    let now = 0;
    // Its identity is all that matters of a database here.
    const recent = recentAnswersOf({} as Database);
    const answers = createNamelessAnswers({
      meterId: 'm',
      id: 'own',
      recent,
      earlier: { ...noEarlierTokens, reckonedForMs: 60_000, ...earlier },
      onKnown: ({ answer: { units } }) => told.push(`own ${units}`),
      onEarlier: ({ id }, { answer: { units } }) => told.push(`${id} ${units}`),
      onIgnored: (reason) => told.push(reason),
      now: () => now,
    });
    opened.push(answers);
    return {
      told,
      answers,
      recent,
      pass: (ms: number) => void (now += ms),
      hear: (units: number | null, via: 'topic' | 'delivery' = 'topic') =>
        answers.weigh({ answer: answer(units), at: 0 }, via),
    };
  }

  it('is all with nothing else open', () => {
    const { told, hear } = open();
    hear(1);
    assert.deepEqual(told, ['own 1']);
  });

  it('is nothing at once of the answer that was taken a moment ago, and all of the next', () => {
    const { told, hear, recent } = open();
    recent.note('m', answer(1));
    hear(1);
    assert.deepEqual(told, []);
    hear(2);
    assert.deepEqual(told, ['own 2']);
  });

  it('is nothing at once of a second answer to the token before, and all of a yes', () => {
    const { told, hear, recent } = open();
    recent.note('m', answer(1));
    hear(null);
    assert.deepEqual(told, []);
    hear(2);
    assert.deepEqual(told, ['own 2']);
  });

  it('is a refusal when the time is over that was held for a second, and not before', () => {
    const { hear, recent, answers, pass } = open();
    recent.note('m', answer(1));
    hear(null);
    const outcomes = [999, 1].map((ms) => (pass(ms), answers.held?.answer.outcome));
    assert.deepEqual(outcomes, [undefined, 'used']);
  });

  it('is all when the others are answered by name', () => {
    const { told, hear, answers } = open({ others: [token('a')] });
    hear(1);
    assert.deepEqual(told, []);
    answers.forget('a');
    assert.deepEqual(told, ['own 1']);
  });

  it('is nothing of what was kept for others that have their answers now: it may be one of those', () => {
    const kept = [{ answer: answer(1), at: 0 }];
    const { told, hear, answers } = open({ others: [token('a'), token('b')], kept });
    answers.forget('a');
    answers.forget('b');
    assert.deepEqual(told, []);
    hear(2);
    assert.deepEqual(told, ['own 2']);
  });

  it('goes by what was kept for others as long as they have none', () => {
    const kept = [{ answer: answer(1), at: 0 }];
    const { told, hear } = open({ others: [token('a')], kept });
    hear(2);
    assert.deepEqual(told, ['a 1', 'own 2']);
  });

  it('is nothing when a yes that may be another’s has a no behind it', () => {
    const { told, hear, recent, answers } = open();
    recent.note('m', answer(1));
    hear(1);
    hear(null);
    assert.deepEqual([told, answers.held], [[], undefined]);
  });

  it('is not more by the broker’s copy', () => {
    const { told, hear } = open({ others: [token('a')] });
    hear(1);
    hear(1, 'delivery');
    assert.deepEqual(told, ['repeated']);
  });
});
