import type { NodeAPI, NodeDef } from 'node-red';
import { createLockout, lockoutDefaults } from '../src/callers/lockout.js';
import { createLogins } from '../src/callers/logins.js';
import { showAnswers } from './answers.js';
import { defineNode, type Message } from './define-node.js';
import type { CallersResource } from './meter-callers.js';
import { callerOf } from './request.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  callers: string;
  failuresMax: string;
  failuresOfEmailMax: string;
  lockMinutes: string;
}

/** People log in with e-mail and password, and get a token ([H-17]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'granted' | 'refused'>(RED, {
    type: 'api-login',
    outputs: ['granted', 'refused'],
    start(config, host) {
      const { callers, passwords, database } = host.use<CallersResource>(
        config.callers,
        'configuration of callers',
      );
      const lockout = createLockout(database, lockoutOf(config));
      const logins = createLogins({ database, tokens: callers.tokens, passwords, lockout });
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const tell: Parameters<typeof answers.serve>[2] = ({ result, refused }) =>
            emit({
              ...(result === undefined ? {} : { granted: kept(result) }),
              ...(refused === undefined ? {} : { refused: kept(refused) }),
            });
          const { address = null } = callerOf(message);
          await answers.serve('login', message, tell, async () => ({
            payload: await logins.logIn(message.payload, address),
          }));
        },
        close: () => logins.close(),
      };
    },
  });
}

/** No cache on the way may keep a token; and 401 says how to log in. */
function kept(message: Message): Message {
  const headers = message['headers'] as Record<string, string> | undefined;
  const how = message['statusCode'] === 401 ? { 'www-authenticate': 'Bearer realm="Meterflow"' } : {};
  return { ...message, headers: { ...headers, 'cache-control': 'no-store', ...how } };
}

function lockoutOf(config: Config): Parameters<typeof createLockout>[1] {
  const { failuresMax, failuresOfEmailMax, lockSeconds } = lockoutDefaults;
  const whole = { min: 1, max: 10_000, whole: true };
  return {
    failuresMax: numberSetting(config.failuresMax, failuresMax, { name: 'Failures', ...whole }),
    failuresOfEmailMax: numberSetting(config.failuresOfEmailMax, failuresOfEmailMax, {
      name: 'Failures of an e-mail',
      ...whole,
    }),
    lockSeconds: 60 * numberSetting(config.lockMinutes, lockSeconds / 60, { name: 'Locked for', ...whole }),
  };
}
