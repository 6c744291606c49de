import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { accessRows } from '../../scripts/flows/access.js';
import { openApiDocument } from '../../src/http/openapi/document.js';
import { readFlowFiles } from '../../src/operation/flow-files.js';
import { operationsOf, type NamedOperation } from '../support/openapi.js';

const flows = resolve(__dirname, '../../flows');
const operations = operationsOf(openApiDocument('0.0.0'));
/** Not routes of a flow: the appliance and the gateway judge who may. */
const ofTheAppliance = new Set(['/healthz', '/readyz', '/metrics', '/openapi.json', '/ws']);

describe('what the API document says of who may [S-4]', () => {
  const guarded = operations.filter(({ path }) => !ofTheAppliance.has(path));

  it('is what the guard in front of each route of the shipped flows lets in', () => {
    const said = guarded.map(({ name, operation }) => {
      const asksForCaptcha = operation.parameters?.some((parameter) => parameter.name === 'X-Captcha-Token');
      const captcha = asksForCaptcha === true ? ' captcha' : '';
      return [name, `${operation['x-who']} ${operation['x-scope'] ?? ''}${captcha}`];
    });
    assert.deepEqual(Object.fromEntries(said), Object.fromEntries(guardsOfFlows()));
  });

  it('asks for a login exactly where somebody is asked who he is, and offers keys where a scope lets them in', () => {
    for (const { name, operation } of operations) {
      const { security = [], 'x-who': who = 'anyone', 'x-scope': scope = null } = operation;
      const ways = security.flatMap((way) => Object.keys(way)).join(', ');
      const people = who === 'anyone' ? '' : 'bearer, login';
      assert.equal(ways, scope === null ? people : people.replace(',', ', apiKey,'), name);
    }
  });

  it('names 401, 403 and 429 wherever a login is asked for or judged, and 401 nowhere else', () => {
    for (const { name, operation } of operations) {
      const isAsked = (operation.security ?? []).length > 0 || operation.operationId === 'logIn';
      const named = ['401', '403', '429'].filter((status) => status in operation.responses);
      assert.deepEqual(named, isAsked ? ['401', '403', '429'] : ['403'], name);
    }
  });

  it('tells people the same in a sentence', () => {
    const sentenceOf = (id: string): string | undefined =>
      operations
        .find(({ operation }: NamedOperation) => operation.operationId === id)
        ?.operation.description?.split('\n\n')
        .at(-1);
    assert.equal(
      sentenceOf('getBalance'),
      '**Who may:** operators; a prosumer for own meters; keys with the scope `payments:read`.',
    );
    assert.equal(
      sentenceOf('registerDevice'),
      '**Who may:** operators; keys with the scope `devices:write`.',
    );
  });
});

/** By route, as `operator devices:write captcha`. */
function guardsOfFlows(): [string, string][] {
  return accessRows(readFlowFiles(flows)).map(({ method, path, who, scope, captcha }) => [
    `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
    `${who} ${scope}${captcha ? ' captcha' : ''}`,
  ]);
}
