import type { Document } from './model.js';

/** How a caller says who he is. Two that differ in one request are refused. */
export const loginSchemes: Document['components']['securitySchemes'] = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'Of a person: what `POST /api/auth/token` answers, or a token of your own login provider.',
  },
  apiKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Key',
    description:
      'Of a machine, `mfk_…`, with its scopes. Where only that can be sent, also as a bearer token, or as the password of HTTP Basic.',
  },
  login: {
    type: 'http',
    scheme: 'basic',
    description: 'Of the administrator: the editor’s login. Or e-mail and password of an account.',
  },
};
