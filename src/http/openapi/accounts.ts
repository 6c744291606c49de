import { Type } from 'typebox';
import { accountPatch, newAccount, type UserAccount } from '../../callers/account.js';
import { accountSorts } from '../../callers/account-store.js';
import { apiKeyRequest, type ApiKey } from '../../callers/api-key.js';
import { apiKeySorts } from '../../callers/api-key-store.js';
import { roles, scopes } from '../../callers/caller.js';
import { loginBody, type LoggedIn } from '../../callers/logins.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query } from './lists.js';
import { ref, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Accounts'] as const;
const id = '5f6c7c1e-2b1f-4a7e-8a0b-7f0d3b1c9e21';
const uuid = Type.String({ format: 'uuid' });
const time = nullOr(Type.String({ format: 'date-time' }));
const role = Type.String({ enum: [...roles] });

const keyFields = {
  id: uuid,
  name: Type.String(),
  hint: Type.String({ description: 'How the key begins.' }),
  scopes: Type.Array(Type.String({ enum: [...scopes] })),
  user_id: nullOr(uuid, 'The account it acts for; null: the house.'),
  created_by: Type.String(),
  created_at: moment(),
  expires_at: time,
  revoked_at: time,
  last_used_at: nullOr(Type.String({ format: 'date-time' }), 'To the minute.'),
};

export const accountSchemas: Schemas = {
  Login: loginBody,
  LoggedIn: Type.Object({
    access_token: Type.String({ description: 'For `Authorization: Bearer …`.' }),
    token: Type.String({ description: 'The same.' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ minimum: 60, description: 'Seconds.' }),
    user_id: uuid,
    role,
  }),
  NewAccount: newAccount,
  AccountPatch: accountPatch,
  Account: Type.Object({
    id: uuid,
    email: Type.String(),
    role,
    wallet_address: nullOr(Type.String()),
    disabled: Type.Boolean(),
    created_at: moment(),
    last_login_at: time,
  }),
  NewApiKey: apiKeyRequest,
  ApiKey: Type.Object(keyFields),
  MadeApiKey: Type.Object({
    ...keyFields,
    key: Type.String({ pattern: '^mfk_[\\w-]{43}$', description: 'Told this once.' }),
  }),
};

const exampleLogin: LoggedIn = {
  access_token: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1ZjZj….c2lnbmF0dXJl',
  token: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1ZjZj….c2lnbmF0dXJl',
  token_type: 'Bearer',
  expires_in: 3_600,
  user_id: id,
  role: 'operator',
};

const exampleAccount: UserAccount = {
  id,
  email: 'olga@example.org',
  role: 'operator',
  wallet_address: null,
  disabled: false,
  created_at: '2026-11-21T12:00:00.000Z',
  last_login_at: null,
};

const exampleKey: ApiKey = {
  id,
  name: 'grafana',
  hint: 'mfk_7Hq2',
  scopes: ['metrics', 'live'],
  user_id: null,
  created_by: 'olga@example.org',
  created_at: '2026-11-21T12:00:00.000Z',
  expires_at: '2027-11-21T12:00:00.000Z',
  revoked_at: null,
  last_used_at: null,
};

const accountOf = { description: 'The account.', content: json(ref('Account'), exampleAccount) };

export const accountPaths: Paths = {
  '/api/auth/token': {
    post: {
      operationId: 'logIn',
      tags,
      summary: 'Log in with e-mail and password',
      description:
        'Five failures of an e-mail from one address lock the two together for 15 minutes, fifty in an hour from wherever lock the e-mail, whether anybody has it or not.',
      requestBody: {
        required: true,
        content: json(ref('Login'), { email: 'olga@example.org', password: 'correct horse, battery staple' }),
      },
      responses: {
        200: { description: 'A token.', content: json(ref('LoggedIn'), exampleLogin) },
        ...refusals(['SCHEMA_INVALID', 'LOGIN_ELSEWHERE', 'LOGIN_LOCKED', 'LOGIN_BUSY'], {
          body: true,
          guard: 'open',
        }),
      },
    },
  },
  '/api/admin/users': {
    get: {
      operationId: 'listAccounts',
      tags,
      summary: 'Who may log in',
      parameters: [
        ...listParameters(accountSorts),
        query('email', 'Only those whose e-mail has this in it.', Type.String()),
        query('role', 'Only of this role.', role),
        query('disabled', 'Only those who are, or are not.', Type.Boolean()),
        query('wallet_address', 'Only with this wallet.', Type.String()),
      ],
      responses: {
        200: {
          description: 'A page of them.',
          content: json(pageOf('Account'), { data: [exampleAccount], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
    post: {
      operationId: 'addAccount',
      tags,
      summary: 'Add an account',
      requestBody: {
        required: true,
        content: json(ref('NewAccount'), {
          email: 'olga@example.org',
          password: 'correct horse, battery staple',
          role: 'operator',
        }),
      },
      responses: {
        201: accountOf,
        ...refusals(['SCHEMA_INVALID', 'EMAIL_TAKEN', 'PASSWORD_WEAK', 'LOGIN_BUSY'], { body: true }),
      },
    },
  },
  '/api/admin/users/{id}': {
    get: {
      operationId: 'getAccount',
      tags,
      summary: 'One of them',
      parameters: [named('id', 'Its id.', id)],
      responses: { 200: accountOf, ...refusals(['ACCOUNT_UNKNOWN']) },
    },
    patch: {
      operationId: 'changeAccount',
      tags,
      summary: 'Another role, password or wallet; disable it; end its tokens',
      description:
        'Another role, another password and disabling end all tokens made until now, within a second on every instance.',
      parameters: [named('id', 'Its id.', id)],
      requestBody: { required: true, content: json(ref('AccountPatch'), { role: 'prosumer' }) },
      responses: {
        200: accountOf,
        ...refusals(['SCHEMA_INVALID', 'ACCOUNT_UNKNOWN', 'LAST_ADMIN', 'PASSWORD_WEAK', 'LOGIN_BUSY'], {
          body: true,
        }),
      },
    },
  },
  '/api/admin/api-keys': {
    get: {
      operationId: 'listApiKeys',
      tags,
      summary: 'Keys of machines',
      parameters: [
        ...listParameters(apiKeySorts),
        query('name', 'Only the one of this name.', Type.String()),
        query('scope', 'Only those that have it.', Type.String({ enum: [...scopes] })),
        query('user_id', 'Only those that act for this account.', { ...uuid, examples: [id] }),
        query('revoked', 'Only those that are, or are not.', Type.Boolean()),
      ],
      responses: {
        200: {
          description: 'A page of them, never with the keys themselves.',
          content: json(pageOf('ApiKey'), { data: [exampleKey], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
    post: {
      operationId: 'makeApiKey',
      tags,
      summary: 'Make a key for a machine',
      description: 'For `X-API-Key`; also as a bearer token, or as the password of HTTP Basic.',
      requestBody: {
        required: true,
        content: json(ref('NewApiKey'), { name: 'grafana', scopes: ['metrics', 'live'] }),
      },
      responses: {
        201: {
          description: 'With the key, this once.',
          content: json(ref('MadeApiKey'), {
            ...exampleKey,
            key: 'mfk_7Hq2sF4mVx0cJrZkq1T9yWbN5uE8aLdPoG3iKhXvMtQ',
          }),
        },
        ...refusals(['SCHEMA_INVALID', 'API_KEY_NAME_TAKEN'], { body: true }),
      },
    },
  },
  '/api/admin/api-keys/{id}': {
    delete: {
      operationId: 'revokeApiKey',
      tags,
      summary: 'Revoke a key',
      description: 'It is refused within a second on every instance, and stays in the list.',
      parameters: [named('id', 'Its id.', id)],
      responses: {
        200: {
          description: 'As it stands now.',
          content: json(ref('ApiKey'), { ...exampleKey, revoked_at: '2026-11-21T12:05:00.000Z' }),
        },
        ...refusals(['API_KEY_UNKNOWN']),
      },
    },
  },
};
