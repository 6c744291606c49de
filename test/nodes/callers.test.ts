import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { NodeAPI } from 'node-red';
import { callerOf, ownerShown } from '../../nodes/request.js';
import dashboardPerson, { signed } from '../../nodes/plugins/dashboard-person.js';
import type { KnownCaller } from '../../src/callers/caller.js';
import { markCaller } from '../../src/callers/judged.js';

const anna: KnownCaller = {
  kind: 'person',
  name: 'anna@example',
  user_id: 'u1',
  role: 'prosumer',
  scopes: null,
  expires_at: null,
};
const boss = { name: 'boss@example', user_id: 'u2', role: 'operator' as const };
const forged = { name: 'boss@example', user_id: 'u2', role: 'admin' };

function request(judged?: KnownCaller): IncomingMessage {
  const made = new IncomingMessage(new Socket());
  if (judged !== undefined) markCaller(made, judged);
  return Object.assign(made, { ip: '10.0.0.9' });
}

describe('whom a node takes a message from', () => {
  const nobody = { name: 'demo', address: null, role: 'admin' };
  const rows: [what: string, message: object, caller: object][] = [
    ['nobody who said it', { payload: 1 }, nobody],
    [
      'a guard',
      { req: request(), caller: anna },
      { name: 'anna@example', address: '10.0.0.9', role: 'prosumer', user_id: 'u1' },
    ],
    [
      'the gate',
      { req: request(anna), caller: forged },
      { name: 'anna@example', address: '10.0.0.9', role: 'prosumer', user_id: 'u1' },
    ],
    ['a guard that asks nobody', { req: request() }, { ...nobody, address: '10.0.0.9' }],
    [
      "a flow of somebody's own",
      { caller: { name: 'night shift' } },
      { name: 'night shift', address: null, role: 'admin' },
    ],
    ['the dashboard', { _client: { socketIp: '10.0.0.7', user: boss } }, { ...boss, address: '10.0.0.7' }],
    [
      'a browser that says who it is',
      { _client: { socketIp: '10.0.0.7' }, caller: forged },
      { ...nobody, address: '10.0.0.7' },
    ],
    ['a browser that says it was asked', { _client: {}, req: { ip: '1.2.3.4' }, caller: forged }, nobody],
  ];
  for (const [what, message, caller] of rows)
    it(what, () => assert.deepEqual(callerOf(message as never), caller));

  it('shows a prosumer his own, whoever has judged him', () => {
    assert.equal(ownerShown({ req: request(anna) } as never), 'u1');
    assert.equal(ownerShown({ req: request(), caller: anna } as never), 'u1');
    assert.equal(ownerShown({ req: request(), caller: { ...anna, role: 'operator' } } as never), null);
    assert.match(ownerShown({ caller: { ...anna, user_id: null } } as never) ?? '', /^00000000-/);
  });
});

describe('who is at the dashboard', () => {
  const known = { request: request({ ...anna, ...boss }) };
  const unknown = { request: request() };

  it('is whom the gate has judged, whatever the browser says', () => {
    const said = {
      payload: 1,
      caller: forged,
      req: { ip: '1.2.3.4' },
      _client: { user: forged, socketId: 's' },
    };
    assert.deepEqual(signed(known, said), { payload: 1, _client: { socketId: 's', user: boss } });
    assert.deepEqual(signed(unknown, said), { payload: 1, _client: { socketId: 's' } });
    assert.deepEqual(signed(known, 'text'), { payload: 'text', _client: { user: boss } });
    assert.deepEqual(signed(known, [null, said]), [
      null,
      { payload: 1, _client: { socketId: 's', user: boss } },
    ]);
    assert.equal(signed(known, null), null);
  });

  it('is told by a plugin of the dashboard, for everything that a browser sends', () => {
    const plugins: { type: string; hooks: Record<string, unknown> }[] = [];
    const registerPlugin = (_id: string, plugin: { type: string; hooks: Record<string, unknown> }): void =>
      void plugins.push(plugin);
    dashboardPerson({ plugins: { registerPlugin } } as unknown as NodeAPI);
    assert.deepEqual(
      plugins.map(({ type, hooks }) => [type, Object.keys(hooks)]),
      [['node-red-dashboard-2', ['onAction', 'onSend', 'onAddConnectionCredentials']]],
    );
    const add = plugins[0]?.hooks['onAddConnectionCredentials'] as
      ((...of: unknown[]) => unknown) | undefined;
    const stored = { payload: 1, _client: { user: { name: 'another' } } };
    assert.deepEqual(add?.(known, stored), { payload: 1, _client: { user: boss } });
    assert.equal(add?.(unknown, stored), stored, 'what another plugin says, where no gate is in front');
  });
});
