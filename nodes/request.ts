import type { NodeAPI } from 'node-red';
import { seesOnlyOwn, type KnownCaller } from '../src/callers/caller.js';
import type { Caller } from '../src/devices/audit.js';
import type { Message } from './define-node.js';

/** What an HTTP request or a plain message asks for. */
export interface Request {
  /** `:id`, `:meter_id`, `:job_id` or `:receipt` of the path, else the same in the payload, else a payload that is text; '' when absent. */
  readonly id: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

export interface OperationChoice {
  readonly operation: string;
  /** `msg`: `operation` is the path of the message property that names it. */
  readonly operationType: string;
}

export function chosenOperation(RED: NodeAPI, choice: OperationChoice, message: Message): string {
  if (choice.operationType !== 'msg') return choice.operation;
  return String(RED.util.getMessageProperty(message, choice.operation));
}

/** Behind `http in` the path and the query count; without a request the payload says it all. */
export function asksFor(message: Message): Request {
  const http = message['req'] as { params?: Fields; query?: Fields } | undefined;
  const fields = isFields(message.payload) ? message.payload : {};
  const named = http?.params ?? fields;
  const id = named['id'] ?? named['meter_id'] ?? named['job_id'] ?? named['receipt'] ?? message.payload;
  return {
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : '',
    query: http?.query ?? fields,
    body: message.payload,
  };
}

/** Whom the audit log names, and whose own things are asked for. */
export function callerOf(message: Message): Caller {
  const caller = message['caller'] as { name?: string; user_id?: string } | undefined;
  const request = message['req'] as { ip?: string } | undefined;
  // A widget of the dashboard.
  const browser = message['_client'] as { socketIp?: string } | undefined;
  return {
    name: caller?.name ?? 'demo',
    address: request?.ip ?? browser?.socketIp ?? null,
    ...(caller?.user_id === undefined ? {} : { user_id: caller.user_id }),
  };
}

/** [S-4]: the account whose things alone a list may show; null: everybody's. */
export function ownerShown(message: Message): string | null {
  const caller = message['caller'] as KnownCaller | undefined;
  if (caller === undefined || !seesOnlyOwn(caller)) return null;
  return caller.user_id ?? nobody;
}

/** A prosumer without an account owns nothing: no account has this id. */
const nobody = '00000000-0000-0000-0000-000000000000';

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
