import { Type } from 'typebox';
import { limitDefault, limitMax, pageMax } from '../page.js';
import { ref, type Parameter, type Schema } from './model.js';

/** page, limit, sort, order of a list; `sorts` with the default first. */
export function listParameters(sorts: readonly string[], orderDefault: 'asc' | 'desc' = 'desc'): Parameter[] {
  return [
    query('page', 'Counted from 1.', Type.Integer({ minimum: 1, maximum: pageMax, default: 1 })),
    query(
      'limit',
      'How many to a page.',
      Type.Integer({ minimum: 1, maximum: limitMax, default: limitDefault }),
    ),
    query('sort', 'Ordered by this field.', Type.String({ enum: [...sorts], default: sorts[0] })),
    query('order', 'Rising or falling.', Type.String({ enum: ['asc', 'desc'], default: orderDefault })),
  ];
}

export function query(name: string, description: string, schema: Schema): Parameter {
  return { name, in: 'query', description, schema };
}

/** start and end of a question about time: RFC 3339, Unix milliseconds or Unix seconds ([M-11]). */
export function span(start: string, end: string): Parameter[] {
  const time = { anyOf: [Type.String({ format: 'date-time' }), Type.Integer()] };
  return [
    query('start', `${start}; RFC 3339, Unix ms or Unix s.`, time),
    query('end', `${end}; RFC 3339, Unix ms or Unix s.`, time),
  ];
}

/** One or more of these, separated by commas. */
export function someOf(name: string, description: string, values: readonly string[]): Parameter {
  const schema = Type.Array(Type.String({ enum: [...values] }), { minItems: 1 });
  return { ...query(name, description, schema), style: 'form', explode: false };
}

/** The path parameter `{name}`. */
export function named(name: string, description: string, example: string): Parameter {
  return { name, in: 'path', required: true, description, schema: Type.String(), example };
}

/** What a registration needs where CAPTCHA_VERIFY_URL is set. */
export const captchaToken: Parameter = {
  name: 'X-Captcha-Token',
  in: 'header',
  description:
    'Of a CAPTCHA that a person has solved, where this house asks for one; or `captcha_token` in the body.',
  schema: Type.String({ maxLength: 8192 }),
};

/** A page of what the schema `name` describes. */
export function pageOf(name: string): Schema {
  return Type.Object({
    data: Type.Array(ref(name)),
    page: Type.Integer({ minimum: 1 }),
    limit: Type.Integer({ minimum: 1, maximum: limitMax }),
    total: Type.Integer({ minimum: 0, description: 'How many there are on all pages.' }),
  });
}
