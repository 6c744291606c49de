import type { NodeAPI, NodeDef } from 'node-red';
import { createAddressList } from '../src/payments/addresses.js';
import { createSecretCheck } from '../src/payments/path-secret.js';
import { createProvider, type Provider } from '../src/payments/provider.js';
import { defineConfigNode } from './define-node.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  apiUrl: string;
  shortCode: string;
  publicUrl: string;
  allowedIps: string;
}

interface Credentials {
  callbackSecret: string;
  consumerKey: string;
  consumerSecret: string;
  passkey: string;
}

/** What the nodes that hear the payment provider, ask it, or play it, share. */
export interface PaymentsResource {
  /** Undefined: there is no provider to ask. */
  readonly provider: Provider | undefined;
  /** Money for another one credits nothing; null: any. */
  readonly shortCode: string | null;
  readonly isSecret: (said: unknown) => boolean;
  readonly isAllowed: (address: string | null) => boolean;
  /** The address of a callback as the provider is told, its secret included: never log it. */
  callbackUrl(kind: 'stk' | 'c2b/validation' | 'c2b/confirmation'): string;
  /** What the simulator must be asked with. */
  readonly login: {
    readonly shortCode: string;
    readonly passkey: string;
    readonly consumerKey: string;
    readonly consumerSecret: string;
  };
}

/** One request to the provider; a prompt takes it a few seconds. */
const timeoutMs = 15_000;
/** The short code of the provider's own sandbox. */
const sandboxShortCode = '174379';

/** The account at the payment provider: its API, our short code, who may call back. */
export default function (RED: NodeAPI): void {
  defineConfigNode<Config, Credentials, PaymentsResource>(RED, {
    type: 'meter-payments',
    credentials: {
      callbackSecret: { type: 'password' },
      consumerKey: { type: 'password' },
      consumerSecret: { type: 'password' },
      passkey: { type: 'password' },
    },
    open(config, credentials, node) {
      const shortCode = textSetting(config.shortCode, '');
      const login = {
        shortCode: shortCode === '' ? sandboxShortCode : shortCode,
        passkey: textSetting(credentials.passkey, 'passkey'),
        consumerKey: textSetting(credentials.consumerKey, 'key'),
        consumerSecret: textSetting(credentials.consumerSecret, 'secret'),
      };
      const secret = textSetting(credentials.callbackSecret, '');
      if (secret === '') node.warn('No secret is set: every callback is refused.');
      const publicUrl = withoutSlash(textSetting(config.publicUrl, 'http://127.0.0.1:1880'));
      const apiUrl = withoutSlash(textSetting(config.apiUrl, ''));
      return {
        provider: apiUrl === '' ? undefined : createProvider({ ...login, url: apiUrl, timeoutMs }),
        shortCode: shortCode === '' ? null : shortCode,
        isSecret: createSecretCheck(secret),
        isAllowed: createAddressList(textSetting(config.allowedIps, '')),
        callbackUrl: (kind) => `${publicUrl}/api/payments/${kind}/${secret}`,
        login,
      };
    },
    close: () => Promise.resolve(),
  });
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
