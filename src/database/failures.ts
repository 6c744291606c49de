import { DomainError, isDomainError } from '../errors.js';

/** True when the same work may succeed later without any change: the database was away, or two transactions collided. */
export function isTransient(error: unknown): boolean {
  if (isDomainError(error)) return error.code === 'DATABASE_UNAVAILABLE';
  const state = sqlState(error);
  return state === '40001' || state === '40P01'; // serialization failure, deadlock
}

/** Turns what pg throws into DATABASE_UNAVAILABLE when the server, not the statement, is at fault; else hands it on. */
export function asFailure(error: unknown): unknown {
  if (isDomainError(error) || !isServerFailure(error)) return error;
  return unavailable(error);
}

export function unavailable(cause: unknown): DomainError {
  return new DomainError('DATABASE_UNAVAILABLE', `The database is away: ${messageOf(cause)}.`, { cause });
}

/** The server answers, but it has no room (class 53: disk, memory, connections): a probe would not notice. */
export function isOutOfResources(error: unknown): boolean {
  return sqlState(isDomainError(error) ? error.cause : error)?.startsWith('53') ?? false;
}

/** The connection that threw this must not be used again. */
export function breaksConnection(error: unknown): boolean {
  const cause = isDomainError(error) ? error.cause : error;
  const state = sqlState(cause);
  if (state === undefined) return isServerFailure(cause);
  return state.startsWith('57P') || state.startsWith('08');
}

// 08 connection, 53 resources, 57014 statement timeout, 57P0x shutdown and start-up, 58 system error (disk),
// 25006 read-only (a standby after fail-over).
const serverFailure = /^(08...|53...|57014|57P..|58...|25006)$/;

// pg and node report a lost or refused connection without an SQLSTATE.
const connectionFailure =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying|timeout expired|Client has encountered|Client was closed|The server does not support SSL|Cannot use a pool after|Called end on pool)/;

function isServerFailure(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return serverFailure.test(state);
  if (!(error instanceof Error)) return false;
  return 'syscall' in error || error instanceof AggregateError || connectionFailure.test(error.message);
}

function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  if ('syscall' in error) return undefined; // node's EPIPE looks like an SQLSTATE
  const { code } = error;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

// node reports `localhost` refused on ::1 and 127.0.0.1 as an AggregateError with an empty message.
function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(messageOf).join(', ');
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/\.$/, '');
}
