import assert from 'node:assert/strict';
import type { MeterAnswer } from '../../src/tokens/answer.js';
import type { MeterInjection } from '../../src/tokens/history-store.js';
import { ownerOf } from '../../src/tokens/late-owner.js';

const said = { ok: 1 };

function answer(more: Partial<MeterAnswer> = {}): MeterAnswer {
  return {
    outcome: 'success',
    units: 20_000,
    message: null,
    meter_number: null,
    token: null,
    message_id: null,
    data: said,
    ...more,
  };
}

/** Open, sent a moment ago, taken by the vendor; its token is its id. */
function injection(id: string, more: Partial<MeterInjection> = {}): MeterInjection {
  return {
    id,
    meter_number: 'METER001',
    drn: null,
    caller: 'test',
    token: id,
    message_id: null,
    vendor_status: 202,
    answer: null,
    open: true,
    recent: true,
    ...more,
  };
}

const done = (id: string, more: Partial<MeterInjection> = {}): MeterInjection =>
  injection(id, { open: false, answer: '{"of":"it"}', ...more });

describe('A late answer', () => {
  const rows: readonly [
    title: string,
    injections: MeterInjection[],
    answer: MeterAnswer,
    owner: string,
    names?: { token?: string; waiting?: string },
  ][] = [
    ['belongs to the one that is open', [injection('a')], answer(), 'a'],
    ['belongs to none of a meter without any', [], answer(), 'none'],
    ['belongs to none where all are answered', [done('b'), done('a')], answer(), 'none'],
    ['may come after that of a later token', [done('b'), injection('a')], answer(), 'a'],
    ['of two open tokens is told of none', [injection('b'), injection('a')], answer(), 'ambiguous'],
    [
      'of one token that was sent twice is told of the second',
      [injection('b', { token: 'x' }), injection('a', { token: 'x' })],
      answer(),
      'b',
    ],
    [
      'is not that of a token which the vendor refused, while another is open',
      [injection('b', { vendor_status: 503 }), injection('a')],
      answer(),
      'a',
    ],
    [
      'may be that of a token which the vendor refused',
      [injection('a', { vendor_status: 500 })],
      answer(),
      'a',
    ],
    ['may come days after, to the last of its meter', [injection('a', { recent: false })], answer(), 'a'],
    [
      'of days after is not told of one before others',
      [done('b'), injection('a', { recent: false })],
      answer(),
      'none',
    ],
    [
      'leaves what was lost long ago alone',
      [injection('b'), injection('a', { recent: false })],
      answer(),
      'b',
    ],
    [
      'that came before is no news',
      [done('b', { answer: JSON.stringify(said) }), injection('a')],
      answer(),
      'repeated',
    ],
    [
      'that is a refusal is told of the last',
      [injection('a')],
      answer({ outcome: 'used', units: null }),
      'a',
    ],
    [
      'that is a refusal may be the second to a later token',
      [done('b'), injection('a')],
      answer({ outcome: 'used', units: null }),
      'none',
    ],
    [
      'that names its token',
      [injection('b'), injection('a')],
      answer({ token: 'told' }),
      'a',
      { token: 'a' },
    ],
    [
      'that names the token of an answered one',
      [injection('b'), done('a')],
      answer({ token: 'told' }),
      'repeated',
      { token: 'a' },
    ],
    ['that names a token of nobody', [injection('b')], answer({ token: 'told' }), 'repeated', { token: 'z' }],
    [
      'that names its message',
      [injection('b'), injection('a', { message_id: 'm' })],
      answer({ message_id: 'm' }),
      'a',
    ],
    ['that names its injection', [injection('b'), injection('a')], answer({ message_id: 'a' }), 'a'],
    [
      'that names the message of an answered one',
      [injection('b'), done('a', { message_id: 'm' })],
      answer({ message_id: 'm' }),
      'repeated',
    ],
    [
      'that names another message than all that are known',
      [injection('a', { message_id: 'm' })],
      answer({ message_id: 'n' }),
      'none',
    ],
    [
      'that names a message which the vendor did not tell',
      [injection('a')],
      answer({ message_id: 'n' }),
      'a',
    ],
    ['beside a token that waits', [done('w'), injection('a')], answer(), 'a', { waiting: 'w' }],
    [
      'that is a refusal, beside a token that waits',
      [done('w'), injection('a')],
      answer({ outcome: 'used', units: null }),
      'a',
      { waiting: 'w' },
    ],
  ];
  for (const [title, injections, said_, owner, names = {}] of rows) {
    it(`${title}: ${owner}`, () => {
      const { token = null, waiting = null } = names;
      const found = ownerOf(injections, said_, { token, waiting });
      assert.equal(found.outcome === 'owned' ? found.injection.id : found.outcome, owner);
    });
  }
});
