import { IncomingMessage } from 'node:http';
import type { NodeAPI } from 'node-red';
import { seesOnlyOwn, type Role } from '../src/callers/caller.js';
import { judgedCaller } from '../src/callers/judged.js';
import type { Caller } from '../src/devices/audit.js';
import { DomainError } from '../src/errors.js';
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

function chosenOperation(RED: NodeAPI, choice: OperationChoice, message: Message): string {
  if (choice.operationType !== 'msg') return choice.operation;
  return String(RED.util.getMessageProperty(message, choice.operation));
}

/**
 * The one of `operations` that is chosen, with its name.
 * @throws DomainError CONFIGURATION when a message names none
 */
export function operationOf<Operation>(
  RED: NodeAPI,
  choice: OperationChoice,
  message: Message,
  operations: Readonly<Record<string, Operation>>,
): { readonly name: string; readonly operation: Operation } {
  const name = chosenOperation(RED, choice, message);
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (operation === undefined) throw new DomainError('CONFIGURATION', `No operation "${name}"`);
  return { name, operation };
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
export function callerOf(message: Message): KnownAs {
  const browser = message['_client'] as { user?: Person; socketIp?: string } | undefined;
  const request = message['req'];
  if (browser !== undefined)
    // A widget of the dashboard: its page sends what it likes, so only who has logged in to it counts.
    return known(browser.user ?? nobody(), browser.socketIp ?? null);
  const judged = request instanceof IncomingMessage ? judgedCaller(request) : undefined;
  const address = (request as { ip?: string } | undefined)?.ip ?? null;
  const said = judged ?? (message['caller'] as Person | undefined);
  return known(request === undefined ? said : (said ?? nobody()), address);
}

export interface KnownAs extends Caller {
  readonly role: Role;
}

/** A `KnownCaller`, or what a flow of somebody's own says of one. */
interface Person {
  readonly name?: string;
  readonly user_id?: string | null;
  readonly role?: Role;
}

function known(person: Person | undefined, address: string | null): KnownAs {
  // Nobody said who it is: the demo's admin, or a flow of the administrator's own.
  if (person === undefined) return { name: nobodysName(), address, role: 'admin' };
  const { name = nobodysName(), user_id, role = 'admin' } = person;
  return { name, address, role, ...(user_id == null ? {} : { user_id }) };
}

/** From outside without a name. In production doors have asked him; were one open, he would be let do nothing. */
function nobody(): Person | undefined {
  return isProduction() ? { name: 'nobody', role: 'prosumer' } : undefined;
}

function nobodysName(): string {
  return isProduction() ? 'flow' : 'demo';
}

function isProduction(): boolean {
  return process.env['METERFLOW_PROFILE'] === 'production';
}

/** [S-4]: the account whose things alone a list may show; null: everybody's. */
export function ownerShown(message: Message): string | null {
  const caller = callerOf(message);
  if (!seesOnlyOwn(caller)) return null;
  return caller.user_id ?? noAccount;
}

/** A prosumer without an account owns nothing: no account has this id. */
const noAccount = '00000000-0000-0000-0000-000000000000';

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
