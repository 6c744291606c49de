import { DomainError } from '../errors.js';
import { networkOf } from '../http/network-of.js';
import { createFailures, type Failures } from './failures.js';
import { createCounter, type Counter, type LimitStore } from './limit-counter.js';
import { retryAfterSecondsOf } from './retry-after.js';

/** Requests in a minute; null: any number. */
export interface Rates {
  readonly perCaller: number | null;
  readonly perAddress: number | null;
  readonly perDevice: number | null;
}

export interface LimitOptions extends Rates {
  readonly store: LimitStore;
  /** Wrong keys, tokens and passwords of one address in a minute; null: any number. */
  readonly failuresPerAddress: number | null;
  /** Told why the store is away (each instance counts for itself meanwhile), and null when it is back. */
  readonly onStore?: (problem: string | null) => void;
}

/** One guard's limits. Each throws DomainError RATE_LIMITED, which says when to come back. */
export interface GuardLimits {
  address(address: string | null): Promise<void> | void;
  caller(name: string): Promise<void> | void;
  readonly countsDevices: boolean;
  /** Of one request: a batch counts once for each of its meters. */
  devices(names: readonly string[]): Promise<void> | void;
}

export interface Limits {
  /**
   * A rate that is not given is the house's, counted over all guards that have it; one that is given counts for the
   * guard `name` alone.
   */
  ofGuard(name: string, rates: Partial<Rates>): GuardLimits;
  readonly failures: Failures;
}

type Kind = 'address' | 'caller' | 'device';

const seconds = 60;

export function createLimits(options: LimitOptions): Limits {
  const { store, onStore = () => undefined } = options;
  const counter = (name: string, points: number | null): Counter | null =>
    points === null ? null : createCounter(store, { name, points, seconds, onStore });
  const house = {
    address: counted('address', options.perAddress, ''),
    caller: counted('caller', options.perCaller, ''),
    device: counted('device', options.perDevice, ''),
  };

  function counted(kind: Kind, points: number | null, guard: string): Counted | null {
    const found = counter(guard === '' ? kind : `${guard}:${kind}`, points);
    return found === null || points === null ? null : { kind, points, counter: found };
  }

  function own(kind: Kind, points: number | null | undefined, guard: string): Counted | null {
    return points === undefined ? house[kind] : counted(kind, points, guard);
  }

  return {
    ofGuard(name, { perAddress, perCaller, perDevice }) {
      const address = own('address', perAddress, name);
      const caller = own('caller', perCaller, name);
      const device = own('device', perDevice, name);
      return {
        address: (from) => (address === null ? undefined : take(address, networkOf(from ?? ''))),
        caller: (who) => (caller === null ? undefined : take(caller, who)),
        countsDevices: device !== null,
        devices: (names) => (device === null || names.length === 0 ? undefined : takeAll(device, names)),
      };
    },
    // The last one that is heard shuts the door.
    failures: createFailures(
      counter('failure', options.failuresPerAddress === null ? null : options.failuresPerAddress - 1),
    ),
  };
}

interface Counted {
  readonly kind: Kind;
  readonly points: number;
  readonly counter: Counter;
}

async function take({ kind, points, counter }: Counted, key: string): Promise<void> {
  refuse(kind, points, await counter.take(key));
}

/** A thousand meters would be a thousand questions to the store: those of a batch are counted in this process. */
async function takeAll(counted: Counted, names: readonly string[]): Promise<void> {
  const [first = ''] = names;
  if (names.length === 1) return take(counted, first);
  const waits = await Promise.all(names.map((name) => counted.counter.takeHere(name)));
  refuse(counted.kind, counted.points, waits.reduce((a, b) => Math.max(a ?? 0, b ?? 0), null) || null);
}

const what: Readonly<Record<Kind, string>> = {
  address: 'from one address',
  caller: 'from one caller',
  device: 'about one meter',
};

function refuse(kind: Kind, points: number, waitMs: number | null): void {
  if (waitMs === null) return;
  const retryAfterSeconds = retryAfterSecondsOf(waitMs);
  throw new DomainError(
    'RATE_LIMITED',
    `${points} requests a minute are taken ${what[kind]}; come back in ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
}
