import type { TSchema } from 'typebox';

/** The part of OpenAPI 3.1 that our document uses; its schemas are JSON Schema 2020-12. */
export interface Document {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly paths: Paths;
  readonly components: {
    readonly schemas: Schemas;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

/** By path (`/devices/{id}`) and method. */
export type Paths = Readonly<Record<string, Readonly<Partial<Record<Method, Operation>>>>>;
export type Schemas = Readonly<Record<string, Schema>>;
export type Method = 'get' | 'post' | 'patch' | 'delete';
export type Schema = TSchema | Readonly<Record<string, unknown>>;

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly [string];
  readonly summary: string;
  readonly description?: string;
  /** Absent: the document's. Empty: open to everybody. */
  readonly security?: readonly [];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Answers;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: true;
  readonly description: string;
  readonly schema: Schema;
  /** Of a list in a query: separated by commas. */
  readonly style?: 'form';
  readonly explode?: false;
  readonly example?: unknown;
}

/** By status. */
export type Answers = Readonly<Record<string, Answer>>;

export interface Answer {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: Schema }>>;
  readonly content: Content;
}

/** By media type. */
export type Content = Readonly<Record<string, MediaType>>;

export interface MediaType {
  readonly schema: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

/** A schema of the document's components by its name. */
export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}
