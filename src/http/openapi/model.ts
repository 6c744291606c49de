import type { TSchema } from 'typebox';
import type { Role, Scope } from '../../callers/caller.js';
import type { Who } from '../../callers/policy.js';

/** The part of OpenAPI 3.1 that our document uses; its schemas are JSON Schema 2020-12. */
export interface Document {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Paths<Answer | Reference>;
  readonly components: {
    readonly schemas: Schemas;
    readonly responses: Answers;
    readonly securitySchemes: Readonly<Record<LoginScheme, object>>;
  };
}

/** By path (`/devices/{id}`) and method. */
export type Paths<A = Answer> = Readonly<Record<string, Readonly<Partial<Record<Method, Operation<A>>>>>>;
export type Schemas = Readonly<Record<string, Schema>>;
export type Method = 'get' | 'post' | 'patch' | 'delete';
export type Schema = TSchema | Readonly<Record<string, unknown>>;

/** Ways to say who one is, by the names of their descriptions. */
export type LoginScheme = 'bearer' | 'apiKey' | 'login';
/** One of these; empty: open to everybody. */
export type Security = readonly Readonly<Partial<Record<LoginScheme, readonly []>>>[];

export interface Operation<A = Answer> {
  readonly operationId: string;
  readonly tags: readonly [string];
  readonly summary: string;
  readonly description?: string;
  /** Set for all of them from src/http/openapi/access.ts. */
  readonly security?: Security;
  readonly 'x-who'?: Who;
  readonly 'x-roles'?: readonly Role[];
  readonly 'x-scope'?: Scope | null;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Answers<A>;
  /** Of a WebSocket: the schemas of its text messages, which OpenAPI has no place for. */
  readonly 'x-messages'?: { readonly heard: Schema; readonly said: Schema };
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

/** By status; among the components by name. */
export type Answers<A = Answer> = Readonly<Record<string, A>>;

/** To something that stands among the components. */
export interface Reference {
  readonly $ref: string;
}

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
