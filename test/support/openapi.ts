import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import type { Answer, Document, Method, Operation } from '../../src/http/openapi/document.js';

export interface NamedOperation {
  /** `GET /devices/{id}` */
  readonly name: string;
  readonly method: Method;
  readonly path: string;
  /** With its answers themselves, wherever they stand. */
  readonly operation: Operation;
  /** Where the answer with this status stands in the document, as a JSON pointer. */
  placeOf(status: string): string;
}

export function operationsOf(document: Document): NamedOperation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    (Object.keys(methods) as Method[]).map((method) => namedOperation(document, path, method)),
  );
}

function namedOperation(document: Document, path: string, method: Method): NamedOperation {
  const at = ['paths', path, method].map((key) => `/${key.replaceAll('/', '~1')}`).join('');
  const operation = pointer(document, at) as Operation<Answer | { $ref: string }>;
  const placeOf = (status: string): string => {
    const answer = operation.responses[status];
    return answer !== undefined && '$ref' in answer ? answer.$ref.slice(1) : `${at}/responses/${status}`;
  };
  const responses = Object.fromEntries(
    Object.keys(operation.responses).map((status) => [status, pointer(document, placeOf(status)) as Answer]),
  );
  const name = `${method.toUpperCase()} ${path}`;
  return { name, method, path, operation: { ...operation, responses }, placeOf };
}

export interface Schemas {
  /** The schema at a JSON pointer of the document, compiled. */
  validatorAt(place: string): ValidateFunction;
  /** What the schema there has against a value, in sentences. */
  problemsAt(place: string, value: unknown): string[];
}

/** @param strict true: a field that the document does not name is a problem, too. */
export function createSchemas(document: Document, options: { readonly strict?: boolean } = {}): Schemas {
  const ajv = new Ajv2020({ allErrors: true, strict: false });
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  ajv.addFormat('date', /^\d{4}-\d\d-\d\d$/);
  ajv.addFormat('uuid', /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i);
  const plain = JSON.parse(JSON.stringify(document), options.strict === true ? closed : undefined) as object;
  ajv.addSchema(plain, 'api');
  const validatorAt = (place: string) =>
    ajv.compile({ $ref: `api#${place.split('/').map(encodeURIComponent).join('/')}` });
  return {
    validatorAt,
    problemsAt(place, value) {
      const isValid = validatorAt(place);
      if (isValid(value)) return [];
      return (isValid.errors ?? []).map(
        ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
      );
    },
  };
}

/** What a JSON pointer (`/paths/~1devices/get`) leads to. */
export function pointer(value: unknown, place: string): unknown {
  return place
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((found, key) => (found as Record<string, unknown> | undefined)?.[key], value);
}

/** The document lets answers grow; here every field that it does not name is found. */
function closed(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { type, properties } = value as { type?: unknown; properties?: unknown };
  return type === 'object' && properties !== undefined ? { ...value, additionalProperties: false } : value;
}
