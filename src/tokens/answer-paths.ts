import { DomainError } from '../errors.js';
import type { AnswerMapping } from './answer.js';

/** Where in an answer its parts stand, as paths like `result.units` or `[0].v`. */
interface AnswerPaths {
  readonly status: string;
  readonly injected_units?: string;
  readonly message?: string;
  readonly meter_number?: string;
  readonly credit_token?: string;
  readonly message_id?: string;
  /** What stands at `status` for each outcome; without it the outcome's own name. */
  readonly values?: Readonly<Record<string, unknown>>;
}

const parts = ['status', 'injected_units', 'message', 'meter_number', 'credit_token', 'message_id'] as const;
const outcomes = ['success', 'used', 'expired', 'wrong_meter', 'failed'] as const;

/**
 * A mapping that an integrator wrote, as JSON: `{"status": "result.code", "values": {"success": [0, "OK"]},
 * "injected_units": "result.kwh"}`. '' means the built-in forms.
 * @throws DomainError CONFIGURATION when it cannot be used
 */
export function createAnswerMapping(text: string): AnswerMapping | undefined {
  if (text.trim() === '') return undefined;
  const paths = parsed(text);
  return (data) => {
    const fields: Record<string, unknown> = {};
    for (const part of parts) {
      const path = paths[part];
      if (path !== undefined) fields[part] = at(data, path);
    }
    return { ...fields, status: outcomeOf(fields['status'], paths.values) };
  };
}

function parsed(text: string): AnswerPaths {
  let paths: unknown;
  try {
    paths = JSON.parse(text);
  } catch (cause) {
    throw new DomainError('CONFIGURATION', 'The mapping of answers must be JSON.', { cause });
  }
  if (typeof paths !== 'object' || paths === null || !('status' in paths))
    throw new DomainError('CONFIGURATION', 'The mapping of answers needs the path of the status.');
  for (const [name, path] of Object.entries(paths)) {
    const isValues = name === 'values' && typeof path === 'object' && path !== null;
    const isPath = parts.some((part) => part === name) && typeof path === 'string';
    if (!isValues && !isPath)
      throw new DomainError(
        'CONFIGURATION',
        `The mapping of answers has "${name}"; there are ${parts.join(', ')}, values.`,
      );
  }
  return paths as AnswerPaths;
}

function outcomeOf(said: unknown, values: AnswerPaths['values']): unknown {
  if (values === undefined) return said;
  return outcomes.find((outcome) => {
    const value = values[outcome];
    return Array.isArray(value) ? value.includes(said) : value !== undefined && value === said;
  });
}

/** Own properties only; what is not there is undefined. */
function at(data: unknown, path: string): unknown {
  let here = data;
  for (const step of path.split(/[.[\]]+/).filter((name) => name !== '')) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[step];
  }
  return here;
}
