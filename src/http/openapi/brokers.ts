import { Type } from 'typebox';
import { json } from './answers.js';
import { ref, type Answers, type Content, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['External broker'] as const;

const verdict = {
  is_superuser: Type.Literal(false),
  ok: Type.Boolean({ description: 'What mosquitto-go-auth reads.' }),
};

export const brokerSchemas: Schemas = {
  LoginQuestion: Type.Object({
    username: Type.String(),
    password: Type.String(),
    clientid: Type.Optional(Type.String({ description: 'Checked, too, when it is given.' })),
  }),
  TopicQuestion: Type.Object({
    username: Type.String(),
    topic: Type.String({ minLength: 1, description: 'The topic of a message, or a filter.' }),
    action: Type.Optional(Type.String({ enum: ['publish', 'subscribe'], description: 'As EMQX asks.' })),
    acc: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4,
        description: 'As mosquitto-go-auth asks: 1 read, 2 write, 3 both, 4 subscribe.',
      }),
    ),
  }),
  Verdict: Type.Object({
    result: Type.String({ enum: ['allow', 'deny'], description: 'What EMQX reads.' }),
    ...verdict,
    error: Type.String(),
  }),
  Denial: Type.Object({
    error: Type.Object({ code: Type.Literal('FORBIDDEN'), message: Type.String() }),
    result: Type.Literal('deny'),
    ...verdict,
  }),
};

const description = `A refusal is 403, which mosquitto-go-auth reads. Asked with \`Accept: application/json\` or \`action\`, as EMQX
does, it is 200 with \`"result": "deny"\`, because EMQX takes any other status for no answer.`;

export const brokerPaths: Paths = {
  '/mqtt/auth': {
    post: {
      operationId: 'mayLogIn',
      tags,
      summary: 'Whether a client may log in at an external broker',
      description,
      requestBody: asked('LoginQuestion', {
        username: 'METER001',
        password: 'rm3Vq0x7vJmZB1Zk4y8sQ2pT6wNcLh9d',
        clientid: 'METER001',
      }),
      responses: answers('The login is good.'),
    },
  },
  '/mqtt/acl': {
    post: {
      operationId: 'mayUseTopic',
      tags,
      summary: 'Whether a client may publish or subscribe at an external broker',
      description,
      requestBody: asked('TopicQuestion', {
        username: 'METER001',
        topic: 'meters/METER001/readings',
        action: 'publish',
      }),
      responses: answers('It may.'),
    },
  },
};

function asked(schema: string, example: object): { required: true; content: Content } {
  const content = { schema: ref(schema), example };
  return {
    required: true,
    content: { 'application/json': content, 'application/x-www-form-urlencoded': content },
  };
}

function answers(meaning: string): Answers {
  const { 500: _never, ...others } = refusals(['SCHEMA_INVALID'], { body: true });
  const forbidden = others['403'];
  const media = forbidden?.content['application/json'];
  return {
    ...others,
    200: {
      description: `${meaning} Or, for EMQX, the refusal.`,
      content: json(ref('Verdict'), { result: 'allow', is_superuser: false, ok: true, error: '' }),
    },
    ...(forbidden === undefined || media === undefined
      ? {}
      : {
          403: {
            ...forbidden,
            description: 'Refused: `FORBIDDEN`. The client learns no more than that.',
            content: { 'application/json': { ...media, schema: { anyOf: [media.schema, ref('Denial')] } } },
          },
        }),
  };
}
