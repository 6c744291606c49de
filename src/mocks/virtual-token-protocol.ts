import type { MqttClient } from 'mqtt';
import { fourDecimals } from './prepaid-messages.js';
import {
  parseTokenCommand,
  tokenAnswerText,
  tokenCommandTopic,
  tokenResponseTopic,
  type AnswerForm,
} from './virtual-token-messages.js';
import {
  createTokenSlot,
  tokenConductOf,
  type TokenConduct,
  type TokenRates,
  type TokenVerdict,
} from './virtual-token.js';

export interface TokenProtocolOptions {
  readonly meterId: string;
  /** With it the meter hears commands by this name, too, and answers in records. */
  readonly drn?: string | undefined;
  readonly seed: number;
  readonly rates: TokenRates;
  /** How long a late answer takes. */
  readonly lateMs: number;
  /** Unix ms. */
  readonly now: () => number;
  /** The local balance rises; ten-thousandths of a unit. */
  readonly credit: (units: number) => void;
  /** The back end has the answer to a token that was taken. */
  readonly answered: () => void;
  readonly log: (level: 'info' | 'debug' | 'warn', line: string) => void;
}

/** How a meter takes tokens over the network: `meters/{m}/command/token` and `meters/{m}/token/response` ([M-7]). */
export interface TokenProtocol {
  connected(client: MqttClient): void;
  /** The client was ended: answers that are not acknowledged go over the next one. */
  ended(): void;
  heard(topic: string, text: string): void;
  /** Answers that are not yet acknowledged. */
  readonly underWay: number;
  /** The power goes: late answers are never given. */
  stop(): void;
}

interface Answer {
  readonly topic: string;
  readonly text: string;
  readonly copies: 1 | 2;
  readonly isTaken: boolean;
}

/** Answers kept for the time without network, tokens being thought about, and commands remembered for their repeats. */
const waitingMax = 100;

export function createTokenProtocol(options: TokenProtocolOptions): TokenProtocol {
  const { meterId, drn, now, log } = options;
  const names = drn === undefined ? [meterId] : [meterId, drn];
  const byTopic = new Map(names.map((name) => [tokenCommandTopic(name), name]));
  const form: AnswerForm = drn === undefined ? 'object' : 'records';
  const slot = createTokenSlot();
  const waiting = new Set<Answer>();
  const thinking = new Set<NodeJS.Timeout>();
  /** By message id: MQTT may deliver a command twice, and that is no second token. */
  const given = new Map<string, Answer>();
  let client: MqttClient | undefined;

  function connected(through: MqttClient): void {
    client = through;
    // What was asked while nobody listened is the vendor's to repeat.
    through.subscribe([...byTopic.keys()], { qos: 1 }, (error) => {
      if (error === null || client !== through || !through.connected) return;
      log('warn', 'The broker refuses the subscription to tokens');
    });
    for (const answer of waiting) send(through, answer);
  }

  function heard(topic: string, text: string): void {
    const name = byTopic.get(topic);
    if (name === undefined) return;
    const command = parseTokenCommand(text);
    if (typeof command === 'string') {
      log('warn', `Token command refused: ${command}`);
      return;
    }
    const { token, messageId } = command;
    const before = messageId === null ? undefined : given.get(messageId);
    if (before !== undefined) return reply(before);
    const conduct = tokenConductOf(options.seed, meterId, token, options.rates);
    if (conduct.answers === 0) {
      log('debug', `Token ${masked(token)} is passed over in silence`);
      return;
    }
    const act = (): void => take(name, token, messageId, conduct);
    if (!conduct.delayed) return act();
    if (thinking.size >= waitingMax) return;
    const timer = setTimeout(() => {
      thinking.delete(timer);
      act();
    }, options.lateMs);
    thinking.add(timer);
  }

  function take(name: string, token: string, messageId: string | null, conduct: TokenConduct): void {
    const verdict = slot.take(token, conduct);
    const isTaken = verdict.status === 'success';
    log('info', `Token ${masked(token)} ${isTaken ? 'taken' : 'refused'}: ${gist(verdict)}`);
    // First the balance: who hears the answer may look.
    if (isTaken) options.credit(verdict.units);
    const text = tokenAnswerText(form, drn ?? name, verdict, messageId, now());
    const copies = conduct.answers === 2 ? 2 : 1;
    const answer: Answer = { topic: tokenResponseTopic(name), text, copies, isTaken };
    if (messageId !== null) remember(messageId, answer);
    reply(answer);
  }

  function remember(messageId: string, answer: Answer): void {
    given.set(messageId, answer);
    const [oldest] = given.keys();
    if (given.size > waitingMax && oldest !== undefined) given.delete(oldest);
  }

  function reply(answer: Answer): void {
    waiting.add(answer);
    const [oldest] = waiting;
    if (waiting.size > waitingMax && oldest !== undefined) waiting.delete(oldest);
    if (client?.connected === true) send(client, answer);
  }

  function send(through: MqttClient, answer: Answer): void {
    const { topic, text, copies } = answer;
    for (let copy = 1; copy <= copies; copy += 1) {
      through.publish(topic, text, { qos: 1 }, (error) => {
        // The client itself sends again after a reconnect.
        if (error || client !== through || !waiting.delete(answer)) return;
        if (answer.isTaken) options.answered();
      });
    }
  }

  return {
    connected,
    ended: () => (client = undefined),
    heard,
    get underWay() {
      return waiting.size;
    },
    stop() {
      for (const timer of thinking) clearTimeout(timer);
      thinking.clear();
    },
  };
}

/** A token is money until a meter has taken it: a log shows its end only. */
function masked(token: string): string {
  return `…${token.slice(-4)}`;
}

function gist(verdict: TokenVerdict): string {
  return verdict.status === 'success' ? `${fourDecimals(verdict.units)} kWh` : verdict.message;
}
