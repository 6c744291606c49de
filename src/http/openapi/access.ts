import type { Role, Scope } from '../../callers/caller.js';
import type { Who } from '../../callers/policy.js';
import type { Paths, Security } from './model.js';
import { eachOperation } from './share.js';

/** Who may, as the guard in front of a route has it. */
export interface Access {
  readonly who: Who;
  /** What a machine's key needs; null: no key comes in. */
  readonly scope: Scope | null;
}

/** By operation: held to the guards of flows/*.json by test/http/access.test.ts. Without an entry it is open. */
export const accessOf: Readonly<Record<string, Access>> = {
  registerDevice: { who: 'operator', scope: 'devices:write' },
  changeDevice: { who: 'operator', scope: 'devices:write' },
  removeDevice: { who: 'operator', scope: 'devices:write' },
  registerKey: { who: 'operator', scope: 'devices:write' },
  rotateKey: { who: 'operator', scope: 'devices:write' },
  revokeDevice: { who: 'operator', scope: 'devices:write' },
  listDevices: { who: 'user', scope: 'devices:read' },
  getDevice: { who: 'owner', scope: 'devices:read' },
  listKeys: { who: 'operator', scope: 'devices:read' },
  listDeviceEvents: { who: 'operator', scope: 'devices:read' },
  listAnomalies: { who: 'operator', scope: 'readings:read' },
  listLatestReadings: { who: 'user', scope: 'readings:read' },
  listMyReadings: { who: 'user', scope: 'readings:read' },
  getMyTotals: { who: 'user', scope: 'readings:read' },
  getLatestReading: { who: 'owner', scope: 'readings:read' },
  listReadings: { who: 'owner', scope: 'readings:read' },
  listHours: { who: 'owner', scope: 'readings:read' },
  listDays: { who: 'owner', scope: 'readings:read' },
  submitReading: { who: 'owner', scope: 'readings:write' },
  submitBatch: { who: 'owner', scope: 'readings:write' },
  getBatch: { who: 'user', scope: 'readings:write' },
  listQuarantine: { who: 'operator', scope: 'quarantine' },
  replayMany: { who: 'operator', scope: 'quarantine' },
  getQuarantined: { who: 'operator', scope: 'quarantine' },
  deleteQuarantined: { who: 'operator', scope: 'quarantine' },
  replayQuarantined: { who: 'operator', scope: 'quarantine' },
  getBalance: { who: 'owner', scope: 'payments:read' },
  getStatement: { who: 'owner', scope: 'payments:read' },
  listBalances: { who: 'operator', scope: 'payments:read' },
  listDrifts: { who: 'operator', scope: 'payments:read' },
  listPayments: { who: 'user', scope: 'payments:read' },
  listSuspense: { who: 'operator', scope: 'payments:read' },
  listTariffs: { who: 'operator', scope: 'payments:read' },
  requestPayment: { who: 'owner', scope: 'payments:write' },
  chargeMeter: { who: 'operator', scope: 'payments:write' },
  reversePayment: { who: 'operator', scope: 'payments:write' },
  allocateSuspense: { who: 'operator', scope: 'payments:write' },
  creditDisputed: { who: 'operator', scope: 'payments:write' },
  addTariff: { who: 'operator', scope: 'payments:write' },
  injectToken: { who: 'operator', scope: 'injections:write' },
  listInjections: { who: 'operator', scope: 'injections:read' },
  getInjection: { who: 'operator', scope: 'injections:read' },
  listUnminted: { who: 'operator', scope: 'minting' },
  listUnmintedWallets: { who: 'operator', scope: 'minting' },
  mintFromReading: { who: 'operator', scope: 'minting' },
  listMintRequests: { who: 'operator', scope: 'minting' },
  getMintRequest: { who: 'operator', scope: 'minting' },
  receivePromptResult: { who: 'anyone', scope: null },
  validateBill: { who: 'anyone', scope: null },
  receiveBill: { who: 'anyone', scope: null },
  logIn: { who: 'anyone', scope: null },
  listAccounts: { who: 'admin', scope: null },
  addAccount: { who: 'admin', scope: null },
  getAccount: { who: 'admin', scope: null },
  changeAccount: { who: 'admin', scope: null },
  listApiKeys: { who: 'admin', scope: null },
  makeApiKey: { who: 'admin', scope: null },
  revokeApiKey: { who: 'admin', scope: null },
  mayLogIn: { who: 'machine', scope: 'mqtt' },
  mayUseTopic: { who: 'machine', scope: 'mqtt' },
  getMetrics: { who: 'machine', scope: 'metrics' },
  listen: { who: 'user', scope: 'live' },
};

/** Says of every operation who may, and how he says who he is. */
export function withAccess(paths: Paths): Paths {
  return eachOperation(paths, (operation) => {
    const access = accessOf[operation.operationId];
    if (access === undefined) return { ...operation, security: [] };
    const { who, scope } = access;
    return {
      ...operation,
      description: [operation.description, sentenceOf(access)].filter(Boolean).join('\n\n'),
      security: who === 'anyone' ? [] : securityOf(scope),
      'x-who': who,
      'x-roles': rolesOf[who],
      'x-scope': scope,
    };
  });
}

/** Demo: whoever sends nothing is its admin ([S-1]); the document says what production asks for. */
function securityOf(scope: Scope | null): Security {
  return [{ bearer: [] }, ...(scope === null ? [] : [{ apiKey: [] } as const]), { login: [] }];
}

const rolesOf: Readonly<Record<Who, readonly Role[]>> = {
  anyone: ['prosumer', 'operator', 'admin'],
  user: ['prosumer', 'operator', 'admin'],
  owner: ['prosumer', 'operator', 'admin'],
  operator: ['operator', 'admin'],
  admin: ['admin'],
  machine: ['admin'],
};

const people: Readonly<Record<Who, string>> = {
  anyone: 'anybody',
  user: 'anybody with an account; a prosumer sees own meters',
  owner: 'operators; a prosumer for own meters',
  operator: 'operators',
  admin: 'admins',
  machine: 'admins',
};

function sentenceOf({ who, scope }: Access): string {
  return `**Who may:** ${people[who]}${scope === null ? '' : `; keys with the scope \`${scope}\``}.`;
}
