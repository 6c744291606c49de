import type { NodeAPI, NodeDef } from 'node-red';
import type { SessionEvent } from '../src/broker/delivery.js';
import type { Database } from '../src/database/database.js';
import { createDirectory } from '../src/devices/principals.js';
import { createAuthority, type Authority, type Verdict } from '../src/mqtt/authority.js';
import { deniedSession } from '../src/mqtt/denied-session.js';
import { loginQuestion, readsBody, topicQuestion } from '../src/mqtt/questions.js';
import { defineNode, type Message } from './define-node.js';
import { showAnswers } from './answers.js';
import { answer } from './outcome.js';
import { operationOf } from './request.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** Answers a broker of somebody else's from the registry: may this client log in, may it use this topic ([H-19]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'allowed' | 'denied' | 'sessions'>(RED, {
    type: 'mqtt-authority',
    outputs: ['allowed', 'denied', 'sessions'],
    start(config, host) {
      const directory = createDirectory(host.use<Database>(config.database, 'database'));
      const authority = createAuthority(directory);
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation: decide } = operationOf(RED, config, message, operations);
          const begun = performance.now();
          const decision = await decide(authority, message.payload);
          const { allowed, reason } = decision;
          answers.show(name, allowed ? 200 : 403, performance.now() - begun);
          if (allowed) return emit({ allowed: answer(message, 'allowed', 200, verdict('allow', '')) });
          // With address and reason, never with the secret ([S-2]).
          host.node.log(`MQTT ${name} refused ${JSON.stringify({ ...about(message), reason })}`);
          const denial = readsBody(message.payload, acceptOf(message))
            ? answer(message, 'denied', 200, verdict('deny', 'refused'))
            : answer(message, 'denied', 403, verdict('deny', forbidden));
          emit({
            denied: { ...denial, reason },
            ...told(deniedSession(message.payload, decision, Date.now())),
          });
        },
        close: () => directory.close(),
      };
    },
  });
}

/** For those who watch sessions; a message of its own, since the request has its answer already. */
function told(event: SessionEvent | null): { sessions?: Message } {
  return event === null ? {} : { sessions: { topic: 'sessions', payload: [event] } as never };
}

/** A refused client learns only that it was refused ([S-2]). */
const forbidden = { code: 'FORBIDDEN', message: 'Refused.' };

type Decide = (authority: Authority, body: unknown) => Promise<Verdict>;

const operations: Readonly<Record<string, Decide>> = {
  auth: (authority, body) => authority.login(loginQuestion(body)),
  acl: (authority, body) => authority.access(topicQuestion(body)),
};

/** One body for both: `result` is what EMQX reads, `ok` what mosquitto-go-auth does. */
function verdict(result: 'allow' | 'deny', error: unknown): object {
  return { result, is_superuser: false, ok: result === 'allow', error };
}

function acceptOf(message: Message): unknown {
  return (message['req'] as { headers?: Record<string, unknown> } | undefined)?.headers?.['accept'];
}

function about(message: Message): object {
  const { username, topic, clientid } = (message.payload ?? {}) as Record<string, unknown>;
  const asker = (message['req'] as { ip?: string } | undefined)?.ip;
  return { user: username, client_id: clientid, topic, asker };
}
