import type { NodeAPI, NodeDef } from 'node-red';
import type { SentCallback } from '../src/mocks/payment-provider/callbacks.js';
import { phoneForms, type PhoneForm } from '../src/mocks/payment-provider/phone-form.js';
import { serveSimulator } from '../src/mocks/payment-provider/server.js';
import { createPaymentSimulator, type SimulatorSettings } from '../src/mocks/payment-provider/simulator.js';
import { isFields } from '../src/payments/provider-values.js';
import { DomainError } from '../src/errors.js';
import { defineNode, type Host } from './define-node.js';
import type { PaymentsResource } from './meter-payments.js';
import { mount } from './mount.js';
import { answer } from './outcome.js';
import { flagSetting, numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  payments: string;
  enabled: string;
  seed: string;
  refusing: string;
  answerSeconds: string;
  delayMinMs: string;
  delayMaxMs: string;
  lost: string;
  doubled: string;
  late: string;
  bothChannels: boolean;
  phoneForm: string;
}

type Output = 'paid' | 'refused' | 'callback';

/** Where the provider's API is played, under the address of the flows. */
const mountPath = '/simulators/payment-provider';

/** Plays the payment provider and its customers: the same HTTP API, real callbacks, and the accidents of real life. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'payment-simulator',
    outputs: ['paid', 'refused', 'callback'],
    start(config, host) {
      if (!flagSetting(config.enabled, false)) {
        host.status('idle', 'off: a real provider is set, or this is production');
        return {
          input(message, emit) {
            emit({ refused: answer(message, 'refused', 422, { outcome: 'refused', code: 'simulator off' }) });
          },
        };
      }
      const payments = host.use<PaymentsResource>(config.payments, 'payment provider');
      const show = shown(host);
      const settings = settingsOf(config, payments);
      const simulator = createPaymentSimulator(settings, (callback) => {
        show(callback);
        host.emit({ callback: { _msgid: RED.util.generateId(), topic: callback.kind, payload: callback } });
      });
      const unmount = mount(RED, mountPath, serveSimulator(simulator));
      host.status('ok', 'ready');
      return {
        async input(message, emit) {
          const said = isFields(message.payload) ? message.payload : {};
          const bill = await simulator.payBill(billOf(said));
          const status = bill.outcome === 'paid' ? 200 : 422;
          emit({ [bill.outcome]: answer(message, bill.outcome, status, bill) });
        },
        async close() {
          unmount();
          await simulator.close();
        },
      };
    },
  });
}

/** The provider's own names, or those of POST /api/payments. */
function billOf(said: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    MSISDN: said['MSISDN'] ?? said['phone_number'] ?? '254708374149',
    Amount: said['Amount'] ?? said['amount'],
    BillRefNumber: said['BillRefNumber'] ?? said['meter_number'] ?? said['meter_id'],
  };
}

function settingsOf(config: Config, payments: PaymentsResource): SimulatorSettings {
  const minMs = ms(config.delayMinMs, 50, 'Shortest way');
  return {
    ...payments.login,
    seed: numberSetting(config.seed, 1, { name: 'Seed', min: 0, max: 4_294_967_295, whole: true }),
    refusing: percent(config.refusing, 'Refusing'),
    answerMs: 1000 * numberSetting(config.answerSeconds, 3, { name: 'Customer takes', min: 0, max: 600 }),
    delay: { minMs, maxMs: Math.max(minMs, ms(config.delayMaxMs, 500, 'Longest way')) },
    mishaps: {
      lost: percent(config.lost, 'Lost'),
      doubled: percent(config.doubled, 'Doubled'),
      late: percent(config.late, 'Late'),
    },
    bothChannels: flagSetting(config.bothChannels, true),
    phoneForm: phoneFormOf(config),
    urls: {
      confirmation: payments.callbackUrl('c2b/confirmation'),
      validation: payments.callbackUrl('c2b/validation'),
      unanswered: 'Completed',
    },
  };
}

function percent(value: unknown, name: string): number {
  return numberSetting(value, 0, { name, min: 0, max: 100 }) / 100;
}

function ms(value: unknown, fallback: number, name: string): number {
  return numberSetting(value, fallback, { name, min: 0, max: 600_000 });
}

function phoneFormOf(config: Config): PhoneForm {
  const text = textSetting(config.phoneForm, 'masked');
  const form = phoneForms.find((known) => known === text);
  if (form !== undefined) return form;
  throw new DomainError('CONFIGURATION', `Phones must be ${phoneForms.join(', ')}, not "${text}"`);
}

/** `12 callbacks · 1 unanswered`. */
function shown(host: Host<string>): (callback: SentCallback) => void {
  let count = 0;
  let unanswered = 0;
  return ({ status }) => {
    count += 1;
    if (status !== 200) unanswered += 1;
    const text = `${count} ${count === 1 ? 'callback' : 'callbacks'}`;
    if (unanswered === 0) host.status('ok', text);
    else host.status('warning', `${text} · ${unanswered} without 200`);
  };
}
