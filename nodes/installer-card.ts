import type { NodeAPI, NodeDef } from 'node-red';
import { asCardRequest } from '../src/devices/card-request.js';
import { installerCard, type CardAuth } from '../src/devices/installer-card.js';
import { installerSheet } from '../src/devices/installer-sheet.js';
import { DomainError } from '../src/errors.js';
import { deviceAddress } from '../src/mqtt/device-address.js';
import { authMethods } from '../src/readings/verify.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import type { KnownBroker } from './meter-mqtt.js';
import { outcome, refusal } from './outcome.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  mqtt: string;
  authMethod: string;
}

/** What somebody in front of a new device needs: address, login, topics, lines to try it, and all of it as a QR code. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'card' | 'refused'>(RED, {
    type: 'installer-card',
    outputs: ['card', 'refused'],
    start(config, host) {
      const broker = host.use<KnownBroker>(config.mqtt, 'broker');
      const auth = authOf(config);
      const answers = showAnswers(host);
      return {
        input(message, emit) {
          const begun = performance.now();
          try {
            const request = asCardRequest(message.payload);
            const now = Date.now();
            const card = installerCard(request, deviceAddress(broker.doors, request.seen_as), auth, now);
            const html = installerSheet(request, card, now);
            answers.show('card', 200, performance.now() - begun);
            emit({ card: outcome(message, 'card', { ...card, html }) });
          } catch (error) {
            const refused = refusal(message, error);
            answers.show('card', Number(refused['statusCode']), performance.now() - begun);
            emit({ refused });
          }
        },
      };
    },
  });
}

function authOf(config: Config): CardAuth {
  const text = textSetting(config.authMethod, 'none');
  const method = authMethods.find((known) => known === text);
  if (method !== undefined) return method;
  throw new DomainError('CONFIGURATION', `Signatures must be ${authMethods.join(', ')}, not "${text}"`);
}
