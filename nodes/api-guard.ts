import type { NodeAPI, NodeDef } from 'node-red';
import { scopes } from '../src/callers/caller.js';
import { createGuard, type Call, type Guard } from '../src/callers/guard.js';
import type { Rates } from '../src/callers/limits.js';
import { whos, type Rule } from '../src/callers/policy.js';
import { DomainError, errorStatus, isDomainError } from '../src/errors.js';
import { errorAnswer } from '../src/http/errors.js';
import { defineNode, type Host, type Message } from './define-node.js';
import { hungUp } from './hung-up.js';
import type { CallersResource } from './meter-callers.js';
import { answer } from './outcome.js';
import { rateSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  callers: string;
  who: string;
  scope: string;
  perAddress: string;
  perCaller: string;
  perDevice: string;
  captcha: boolean;
}

/** Stands behind an http in: only who may goes on, as msg.caller. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'allowed' | 'denied'>(RED, {
    type: 'api-guard',
    outputs: ['allowed', 'denied'],
    start(config, host) {
      let rule: Rule;
      let guard: Guard;
      try {
        rule = ruleOf(config);
        guard = guardOf(config, rule, host);
      } catch (error) {
        return shut(error, host);
      }
      const counts = { allowed: 0, denied: 0 };
      const show = (tone: 'ok' | 'warning'): void =>
        host.status(tone, `${counts.allowed} allowed, ${counts.denied} denied`);
      host.status('idle', rule.scope === null ? rule.who : `${rule.who}, ${rule.scope}`);
      return {
        async input(message, emit) {
          const call = callOf(message);
          try {
            const caller = await guard.admit(call, config.captcha ? signalOf(message, host) : host.signal);
            if (caller === null) delete message['caller'];
            else message['caller'] = caller;
          } catch (error) {
            const denied = denial(message, error);
            counts.denied += 1;
            show('warning');
            return emit({ denied });
          }
          counts.allowed += 1;
          show('ok');
          emit({ allowed: message });
        },
      };
    },
  });
}

/** A guard that cannot start lets nobody in, and lets nobody wait for an answer: Catch gives one. */
function shut(why: unknown, host: Host<string>) {
  const text = why instanceof Error ? why.message : String(why);
  host.node.error(text);
  host.status('error', text);
  return { input: () => Promise.reject(new Error('This guard could not start: its status says why.')) };
}

function guardOf(config: Config, rule: Rule, host: Host<string>): Guard {
  const { callers, limits, ownership, captcha } = host.use<CallersResource>(
    config.callers,
    'list of callers',
  );
  return createGuard({
    rule,
    callers,
    limits: limits.ofGuard(host.node.id, ratesOf(config)),
    ownership,
    captcha: config.captcha ? captcha : null,
  });
}

/** A guard that is not understood lets nobody in: the node does not start. */
function ruleOf(config: Config): Rule {
  const who = whos.find((each) => each === config.who);
  if (who === undefined) throw new DomainError('CONFIGURATION', `Who comes in? "${config.who}" is nobody.`);
  const name = textSetting(config.scope, '');
  const scope = scopes.find((each) => each === name);
  if (scope === undefined && name !== '')
    throw new DomainError('CONFIGURATION', `There is no scope "${name}".`);
  return { who, scope: scope ?? null };
}

/** What is left empty is as the config node says. */
function ratesOf(config: Config): Partial<Rates> {
  return {
    ...ownRate('perAddress', config.perAddress, 'Per address'),
    ...ownRate('perCaller', config.perCaller, 'Per caller'),
    ...ownRate('perDevice', config.perDevice, 'Per meter'),
  };
}

function ownRate(key: keyof Rates, value: unknown, name: string): Partial<Rates> {
  return textSetting(value, '') === '' ? {} : { [key]: rateSetting(value, null, name) };
}

function callOf(message: Message): Call {
  const request = message['req'] as Call['request'] | undefined;
  if (request === undefined)
    throw new DomainError('CONFIGURATION', 'Only requests are guarded: this message comes from no http in.');
  return { request, body: message.payload };
}

function signalOf(message: Message, host: Host<string>): AbortSignal {
  const gone = hungUp(message);
  return gone === undefined ? host.signal : AbortSignal.any([host.signal, gone]);
}

/** For the http response behind it. Throws what is no refusal: Catch answers it. */
function denial(message: Message, error: unknown): Message {
  if (!isDomainError(error) || errorStatus[error.code] >= 500) throw error;
  const { status, headers, body } = errorAnswer(error);
  // RFC 9110, 11.6.1: how to log in.
  const how = status === 401 ? { 'www-authenticate': 'Bearer realm="Meterflow"' } : {};
  return { ...answer(message, 'denied', status, body), headers: { ...headers, ...how } };
}
