import { nkeys } from '@nats-io/transport-node';

const { createAccount, createOperator, createUser } = nkeys;
type KeyPair = ReturnType<typeof createUser>;

/** What an operator of NATS hands out, made here: no account server, no tool. */
export interface NatsOperator {
  /** Lines of the server's configuration. */
  readonly config: string;
  /** A credentials file of a user. */
  readonly creds: string;
}

export function natsOperator(): NatsOperator {
  const operator = createOperator();
  const account = createAccount();
  // JetStream does not start without one.
  const system = createAccount();
  const user = createUser();
  const unlimited = { subs: -1, data: -1, payload: -1 };
  const limits = {
    ...unlimited,
    conn: -1,
    leaf: -1,
    imports: -1,
    exports: -1,
    wildcards: true,
    mem_storage: -1,
    disk_storage: -1,
    streams: -1,
    consumer: -1,
  };
  const operatorToken = tokenOf(operator, operator, { type: 'operator' });
  const accountToken = tokenOf(operator, account, { type: 'account', limits });
  const systemToken = tokenOf(operator, system, { type: 'account', limits: { ...unlimited, conn: -1 } });
  const userToken = tokenOf(account, user, { type: 'user', ...unlimited });
  return {
    config: `operator: ${operatorToken}\nresolver: MEMORY\nsystem_account: ${system.getPublicKey()}\nresolver_preload: { ${account.getPublicKey()}: ${accountToken}, ${system.getPublicKey()}: ${systemToken} }`,
    creds: [
      '-----BEGIN NATS USER JWT-----',
      userToken,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      seedOf(user),
      '------END USER NKEY SEED------',
      '',
    ].join('\n'),
  };
}

export function natsUser(): { readonly publicKey: string; readonly seed: string } {
  const user = createUser();
  return { publicKey: user.getPublicKey(), seed: seedOf(user) };
}

function seedOf(pair: KeyPair): string {
  return Buffer.from(pair.getSeed()).toString();
}

function tokenOf(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    jti: `${now}-${subject.getPublicKey()}`,
    iat: now,
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: 'test',
    nats: { ...nats, version: 2 },
  };
  const signed = [{ typ: 'JWT', alg: 'ed25519-nkey' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url');
  return `${signed}.${signature}`;
}
