import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError, type ErrorDetail } from '../errors.js';
import { pageRequest, refuseWrong, type ListQuery, type Page } from '../http/page.js';
import { isUuid } from '../uuid.js';
import { mintStates, type MintAnswer, type MintRequest, type MintState } from './mint-request.js';
import { findReading, markMinted, type MintableReading } from './reading-store.js';
import {
  findRequest,
  insertRequest,
  lockRequest,
  reopenRequest,
  selectRequest,
  selectRequests,
  tellRelays,
} from './request-store.js';
import { text } from './unminted.js';

export interface MintingSettings {
  /** Whether there is a service to send to. */
  readonly isSetUp: boolean;
  /** For how long a request is tried. */
  readonly deadlineMs: number;
}

/** The desk of the minting hand-off ([H-16]); the relay does what is asked for here. */
export interface Minting {
  /**
   * `{reading_id, again?}`: asks for a reading to be minted. The same reading again is the same request; `again` tries
   * what the service refused once more.
   * @throws DomainError SCHEMA_INVALID, MINTING_NOT_SET_UP, READING_UNKNOWN, READING_OF_MOCK, WALLET_MISSING, MINT_REFUSED
   */
  request(body: unknown, caller: Caller): Promise<MintAnswer>;
  /** Newest first; filters state (comma list), meter_id, wallet_address, start, end. @throws SCHEMA_INVALID */
  list(query?: ListQuery): Promise<Page<MintRequest>>;
  /** @throws DomainError MINT_REQUEST_UNKNOWN */
  one(id: string): Promise<MintRequest>;
}

export function createMinting(
  database: Database,
  { isSetUp, deadlineMs }: MintingSettings,
  now: () => number = Date.now,
): Minting {
  /** In one transaction: never two for a reading, however many ask at once. */
  function begin(reading: MintableReading, again: boolean, caller: Caller): Promise<MintRequest> {
    return database.transaction(async (tx) => {
      const inserted = await insertRequest(tx, reading, { caller: caller.name, deadlineMs });
      const known = inserted ?? (await lockRequest(tx, reading));
      // Deleted meanwhile.
      if (known === null) throw unknown(reading.id);
      if (known.state === 'waiting' && inserted === null) return known;
      if (known.state === 'minted') {
        // Stored anew after it was minted.
        await markMinted(tx, reading, known.tx_signature ?? '');
        return known;
      }
      if (known.state === 'refused' && !again)
        throw new DomainError(
          'MINT_REFUSED',
          `The minting service refused this reading: ${known.reason ?? ''} To try once more, send "again": true.`,
        );
      const opened = inserted ?? (await reopenRequest(tx, known.id, reading, deadlineMs)) ?? known;
      await audit(tx, caller, {
        action: 'reading.mint_requested',
        subject: reading.meter_id,
        details: {
          reading_id: Number(reading.id),
          request_id: opened.id,
          wallet_address: opened.wallet_address,
        },
      });
      await tellRelays(tx);
      return opened;
    });
  }

  return {
    async request(body, caller) {
      const { id, again } = readRequest(body);
      if (!isSetUp)
        throw new DomainError('MINTING_NOT_SET_UP', 'There is no minting service: set MINTING_URL.');
      const reading = await findReading(database, id, now());
      if (reading === undefined) throw unknown(id);
      if (reading.minted) {
        const request = await findRequest(database, reading);
        return { ...answerOf(reading.id, request), state: 'minted', tx_signature: reading.mint_tx_signature };
      }
      if (reading.mock)
        throw new DomainError('READING_OF_MOCK', `${reading.meter_id} is a mock: its energy is not real.`);
      if (reading.wallet_address === null)
        throw new DomainError('WALLET_MISSING', `Nobody's wallet is known for ${reading.meter_id}.`);
      return answerOf(reading.id, await begin(reading, again, caller));
    },
    async list(query = {}) {
      const request = pageRequest(query, ['requested_at']);
      const filter = {
        states: statesOf(query['state']),
        meter: text(query['meter_id']),
        wallet: text(query['wallet_address']),
      };
      const found = await selectRequests(database, request, filter);
      return { ...found, page: request.page, limit: request.limit };
    },
    async one(id) {
      const found = isUuid(id) ? await selectRequest(database, id) : null;
      if (found !== null) return found;
      throw new DomainError(
        'MINT_REQUEST_UNKNOWN',
        `There is no mint request ${JSON.stringify(id.slice(0, 64))}.`,
      );
    },
  };
}

function answerOf(id: string, request: MintRequest | null): MintAnswer {
  const { state = 'minted', tx_signature = null } = request ?? {};
  return { reading_id: Number(id), state, tx_signature, request };
}

function unknown(id: string): DomainError {
  return new DomainError('READING_UNKNOWN', `There is no reading ${id}.`);
}

function readRequest(body: unknown): { id: string; again: boolean } {
  const { reading_id, again = false } = (body ?? {}) as { reading_id?: unknown; again?: unknown };
  const details: ErrorDetail[] = [];
  const id =
    typeof reading_id === 'string' && /^\d{1,15}$/.test(reading_id) ? Number(reading_id) : reading_id;
  if (!Number.isSafeInteger(id) || Number(id) < 1)
    details.push({ path: '/reading_id', message: 'must be the id of a reading' });
  if (typeof again !== 'boolean') details.push({ path: '/again', message: 'must be true or false' });
  if (details.length === 0) return { id: String(id), again: again === true };
  const said = details.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ');
  throw new DomainError('SCHEMA_INVALID', `The request is wrong: ${said}.`, { details });
}

function statesOf(given: unknown): MintState[] | null {
  // `?state=a&state=b` means the same as `?state=a,b`.
  const value = text(Array.isArray(given) ? given.join(',') : given);
  if (value === null) return null;
  const named = value.split(',').map((name) => mintStates.find((state) => state === name.trim()));
  const known = named.filter((state) => state !== undefined);
  if (known.length !== named.length)
    refuseWrong([{ path: '/state', message: `must be one or more of ${mintStates.join(', ')}` }]);
  return known;
}
