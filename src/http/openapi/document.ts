import { withAccess } from './access.js';
import { accountPaths, accountSchemas } from './accounts.js';
import { deviceKeyPaths, deviceKeySchemas } from './device-keys.js';
import { anomalyPaths, anomalySchemas } from './anomalies.js';
import { balancePaths, balanceSchemas } from './balances.js';
import { brokerPaths, brokerSchemas } from './brokers.js';
import { deviceEventPaths, deviceEventSchemas } from './device-events.js';
import { devicePaths, deviceSchemas } from './devices.js';
import { injectionPaths, injectionSchemas } from './injections.js';
import { livePaths, liveSchemas } from './live.js';
import { loginSchemes } from './login-schemes.js';
import { mintingPaths, mintingSchemas } from './minting.js';
import type { Document, Paths } from './model.js';
import { moneyPaths, moneySchemas } from './money.js';
import { operationPaths, operationSchemas } from './operation.js';
import { paymentPaths, paymentSchemas } from './payments.js';
import { quarantinePaths, quarantineSchemas } from './quarantine.js';
import { readingPaths, readingSchemas } from './readings.js';
import { refusalSchemas } from './refusals.js';
import { shareRefusals } from './share.js';
import { statisticsPaths, statisticsSchemas } from './statistics.js';
import { submissionPaths, submissionSchemas } from './submissions.js';

export type * from './model.js';

/**
 * [H-18]: the API as OpenAPI 3.1. What a request is checked with is what is shown; what is answered is held to it by
 * test/flows/openapi-answers.test.ts.
 */
export function openApiDocument(version: string): Document {
  const { paths, responses } = shareRefusals(
    withAccess(
      together(
        devicePaths,
        deviceKeyPaths,
        deviceEventPaths,
        readingPaths,
        statisticsPaths,
        anomalyPaths,
        quarantinePaths,
        submissionPaths,
        balancePaths,
        moneyPaths,
        paymentPaths,
        injectionPaths,
        mintingPaths,
        accountPaths,
        brokerPaths,
        livePaths,
        operationPaths,
      ),
    ),
  );
  return {
    openapi: '3.1.1',
    info: { title: 'Meterflow', version, description },
    servers: [{ url: '/' }],
    tags: [
      { name: 'Devices', description: 'The registry: who may connect, and with what.' },
      { name: 'Device keys', description: 'What meters sign their readings with.' },
      { name: 'Quarantine', description: 'What was refused: replay it after a fix, or delete it.' },
      { name: 'Readings', description: 'Energy by interval, as committed.' },
      { name: 'Balances', description: 'What prepaid meters hold, and how it came about.' },
      { name: 'Payments', description: 'Money: what came, what found no meter, what was taken back.' },
      { name: 'Tariffs', description: 'What a unit costs, from when on.' },
      { name: 'Tokens', description: 'Prepaid tokens on their way into meters.' },
      { name: 'Minting', description: 'Readings on their way to the minting service.' },
      { name: 'Accounts', description: 'Who may call: logging in, accounts of people, keys of machines.' },
      { name: 'Live events', description: 'What happens, as it happens.' },
      { name: 'External broker', description: 'What Mosquitto or EMQX ask.' },
      { name: 'Operation', description: 'Health, metrics, this document.' },
    ],
    paths,
    components: {
      responses,
      schemas: {
        ...deviceSchemas,
        ...deviceKeySchemas,
        ...deviceEventSchemas,
        ...readingSchemas,
        ...statisticsSchemas,
        ...anomalySchemas,
        ...quarantineSchemas,
        ...submissionSchemas,
        ...balanceSchemas,
        ...moneySchemas,
        ...paymentSchemas,
        ...injectionSchemas,
        ...mintingSchemas,
        ...accountSchemas,
        ...brokerSchemas,
        ...liveSchemas,
        ...operationSchemas,
        ...refusalSchemas,
      },
      securitySchemes: loginSchemes,
    },
  };
}

/** One path may have methods from several files. */
function together(...parts: readonly Paths[]): Paths {
  const all: Record<string, Paths[string]> = {};
  for (const [path, methods] of parts.flatMap((part) => Object.entries(part)))
    all[path] = { ...all[path], ...methods };
  return all;
}

const description = `JSON in and out. Every error has the shape \`Error\` and a code that does not change.
Unknown fields are ignored on input. Answers may have more fields than stand here.
Energy is in kWh (units) with at most 4 decimals, money has at most 2; times are RFC 3339 in UTC.

Production asks who you are, as each operation says: log in with **Authorize**, in one way, since two that differ are
refused. The demo asks nobody, but judges a login that is sent.`;
