import assert from 'node:assert/strict';
import type { MeterAnswer } from '../../src/tokens/answer.js';
import { ownerOf } from '../../src/tokens/late-owner.js';
import type { MeterInjection } from '../../src/tokens/meter-store.js';

const said = { ok: 1 };
const minute = 60_000;
const day = 86_400_000;

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
    answered_at: null,
    sent_at: 0,
    status: 'unanswered',
    open: true,
    silent_ms: minute,
    ...more,
  };
}

const done = (id: string, more: Partial<MeterInjection> = {}): MeterInjection =>
  injection(id, { status: 'success', open: false, answer: '{"of":"it"}', ...more });

/** A yes that may be another's, as the record has it. */
const kept = (n: number): { readonly answer: string; readonly answered_at: number } => ({
  answer: JSON.stringify({ status: 'success', injected_units: n }),
  answered_at: n,
});

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
    [
      'may come days after, to the last of its meter',
      [injection('a', { silent_ms: 3 * day })],
      answer(),
      'a',
    ],
    [
      'of days after is not told of one before others',
      [done('b'), injection('a', { silent_ms: 3 * day })],
      answer(),
      'none',
    ],
    [
      'leaves what was lost long ago alone',
      [injection('b'), injection('a', { silent_ms: 3 * day })],
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
    [
      'of two open tokens is told of both, with the answer that was kept',
      [injection('b', kept(1)), injection('a')],
      answer(),
      'a, b',
    ],
    [
      'of two open tokens, a yes and a no, is told of none',
      [injection('b', kept(1)), injection('a')],
      answer({ outcome: 'expired', units: null }),
      'ambiguous',
    ],
    [
      'that was kept is no news',
      [injection('b', { ...kept(1), answer: JSON.stringify(said) }), injection('a')],
      answer(),
      'repeated',
    ],
    [
      'beside one that was kept and is another’s once more',
      [injection('c', kept(1)), injection('b'), done('a', { answer: kept(1).answer })],
      answer(),
      'ambiguous',
    ],
    [
      'is not a second yes to a token that is confirmed',
      [injection('b'), done('a', { id: 'a2' }), injection('a')],
      answer(),
      'b',
    ],
    [
      'reckons with a token of before the meter came back',
      [injection('b'), injection('a', { silent_ms: 30 * minute })],
      answer(),
      'ambiguous',
    ],
    [
      'reckons with a token that could not be told apart from a recent one',
      [injection('b', { silent_ms: 50 * minute }), injection('a', { silent_ms: 100 * minute })],
      answer(),
      'ambiguous',
    ],
    [
      'reckons with one that broke the system down',
      [injection('b', { vendor_status: 500 }), injection('a')],
      answer(),
      'ambiguous',
    ],
    [
      'to one that waits elsewhere is heard there',
      [injection('w', { open: false, status: 'waiting' }), injection('a')],
      answer(),
      'awaited',
    ],
    [
      'of before that one was sent is not',
      [injection('w', { open: false, status: 'waiting', sent_at: 2 }), injection('a')],
      answer(),
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
      const found = ownerOf(injections, { answer: said_, at: 1 }, { token, waiting });
      const owners = found.outcome === 'owned' ? found.pairs.map(([{ id }]) => id).join(', ') : found.outcome;
      assert.equal(owners, owner);
    });
  }
});
