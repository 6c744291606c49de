import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorStatus } from '../../src/errors.js';
import { openApiDocument, type Answer, type Operation } from '../../src/http/openapi/document.js';
import { createSchemas, operationsOf, pointer } from '../support/openapi.js';

const flows = resolve(__dirname, '../../flows');
const document = openApiDocument('1.2.3');
const operations = operationsOf(document);

describe('the API document [H-18]', () => {
  it('names every route of the shipped flows and of the appliance, and no other', () => {
    const own = ['GET /healthz', 'GET /readyz', 'GET /metrics', 'GET /openapi.json', 'GET /ws'];
    assert.deepEqual(operations.map(({ name }) => name).sort(), [...routesOfFlows(), ...own].sort());
  });

  it('is OpenAPI 3.1 with title and version', () => {
    assert.match(document.openapi, /^3\.1\.\d+$/);
    assert.deepEqual([document.info.title, document.info.version], ['Meterflow', '1.2.3']);
  });

  it('gives every operation a name of its own, a summary and a known tag', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    assert.equal(new Set(ids).size, ids.length);
    const tags = new Set(document.tags.map(({ name }) => name));
    for (const { name, operation } of operations) {
      assert.match(operation.operationId, /^[a-z][A-Za-z]+$/, name);
      assert.match(operation.summary, /^[A-Z].{8,}[^.]$/, name);
      for (const tag of operation.tags) assert.ok(tags.has(tag), `${name}: ${tag}`);
    }
  });

  it('declares the parameters of every path, and each once', () => {
    for (const { name, path, operation } of operations) {
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      assert.deepEqual(
        inPath.map((parameter) => parameter.name),
        wanted,
        name,
      );
      for (const parameter of inPath) assert.equal(parameter.required, true, name);
      const all = (operation.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name}`);
      assert.equal(new Set(all).size, all.length, name);
    }
  });

  it('asks for a body where there is one to send', () => {
    for (const { name, method, operation } of operations)
      assert.equal(operation.requestBody?.required === true, ['post', 'patch'].includes(method), name);
  });

  it('gives every operation an answer and errors in the one shape', () => {
    for (const { name, operation } of operations) {
      const good = Object.keys(operation.responses).filter((status) => status < '300');
      assert.equal(good.length > 0, true, name);
      assert.equal(good.includes('101'), name === 'GET /ws', name);
      const refused = errorsOf(operation);
      assert.ok(refused.length > 0, name);
      for (const [status, answer] of refused) {
        assert.ok(answer.description.length > 0, `${name} ${status}`);
        assert.deepEqual(
          codesOf(answer).filter((code) => errorStatus[code] !== Number(status)),
          [],
        );
      }
    }
  });

  it('resolves every reference, and uses every component', () => {
    const references = new Set(referencesIn(document));
    for (const reference of references)
      assert.notEqual(pointer(document, reference.replace(/^#/, '')), undefined, reference);
    assert.deepEqual(
      [...references].sort(),
      (['schemas', 'responses'] as const)
        .flatMap((kind) => Object.keys(document.components[kind]).map((one) => `#/components/${kind}/${one}`))
        .sort(),
    );
  });

  it('describes every way to log in that it asks for, and asks for every one that it describes', () => {
    const asked = operations.flatMap(({ operation }) => operation.security ?? []).flatMap(Object.keys);
    assert.deepEqual([...new Set(asked)].sort(), Object.keys(document.components.securitySchemes).sort());
  });

  it('has schemas of JSON Schema 2020-12', () => {
    const schemas = createSchemas(document);
    for (const place of schemaPlaces()) assert.equal(typeof schemas.validatorAt(place), 'function', place);
    assert.doesNotMatch(JSON.stringify(document), /"nullable"/);
  });

  it('has examples that its schemas accept', () => {
    const schemas = createSchemas(document);
    let examples = 0;
    for (const place of schemaPlaces()) {
      const media = pointer(document, place.replace(/\/schema$/, '')) as Media;
      const values = [
        ...('example' in media ? [media.example] : []),
        ...Object.values(media.examples ?? {}).map(({ value }) => value),
      ];
      examples += values.length;
      for (const value of values)
        assert.deepEqual(schemas.problemsAt(place, value), [], `${place}: ${JSON.stringify(value)}`);
    }
    assert.ok(examples > 30, `${examples} examples`);
  });
});

interface Media {
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

function routesOfFlows(): string[] {
  return readdirSync(flows)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => JSON.parse(readFileSync(join(flows, file), 'utf8')) as Record<string, string>[])
    .filter(({ type }) => type === 'http in')
    .map(({ method, url }) => `${method?.toUpperCase()} ${url?.replaceAll(/:(\w+)/g, '{$1}')}`);
}

/** JSON pointers of all schemas of parameters, bodies and answers. */
function schemaPlaces(): string[] {
  const found: string[] = [];
  const walk = (value: unknown, at: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      const place = `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      if (key === 'schema') found.push(place);
      else walk(inner, place);
    }
  };
  walk(document.paths, '/paths');
  walk(document.components.responses, '/components/responses');
  return found;
}

function errorsOf(operation: Operation): [string, Answer][] {
  return Object.entries(operation.responses).filter(
    ([status, { content }]) => status >= '300' && 'examples' in (content['application/json'] ?? {}),
  );
}

function codesOf({ content }: Answer): (keyof typeof errorStatus)[] {
  return Object.keys(content['application/json']?.examples ?? {}) as (keyof typeof errorStatus)[];
}

function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === '$ref' && typeof inner === 'string' ? [inner] : referencesIn(inner),
  );
}
