/** Who speaks after a login: a device of the registry, or a service account with its topic filters. */
export type Principal =
  | {
      readonly kind: 'device';
      readonly user: string;
      readonly device_id: string;
      readonly meter_id: string;
      readonly drn: string | null;
      readonly user_id: string | null;
      readonly mock: boolean;
    }
  | {
      readonly kind: 'account';
      readonly user: string;
      readonly may_read: readonly string[];
      readonly may_write: readonly string[];
    };

export type DevicePrincipal = Extract<Principal, { kind: 'device' }>;

/** Where a device's message goes. `label` is `pattern` with a bounded number of values, for metrics. */
export type Route =
  | { readonly kind: 'reading' | 'message'; readonly pattern: string; readonly label: string }
  | { readonly kind: 'denied' };

const denied: Route = { kind: 'denied' };
const METER_UP = route(['readings', 'readings.pb', 'token/response'], 'meters');
const SMARTMETER_UP = route(['consumption', 'status', 'balance', 'balance/request'], 'smartmeter');

/** The route of a device's topic; everything that [M-10], [M-12] do not name is denied. */
export function classify(principal: DevicePrincipal, topic: string): Route {
  const first = topic.indexOf('/');
  if (first < 0) return denied;
  const second = topic.indexOf('/', first + 1);
  const family = topic.slice(0, first);
  const name = second < 0 ? topic.slice(first + 1) : topic.slice(first + 1, second);
  const rest = second < 0 ? '' : topic.slice(second + 1);
  switch (family) {
    case 'meters':
      return isOwnMeter(principal, name) ? (METER_UP.get(rest) ?? denied) : denied;
    case 'smartmeter':
      return isOwnMeter(principal, name) ? (SMARTMETER_UP.get(rest) ?? denied) : denied;
    case 'devices':
      if (name !== principal.device_id || isAtOrBelow(rest, 'command')) return denied;
      return {
        kind: 'message',
        pattern: second < 0 ? 'devices/+' : `devices/+/${rest}`,
        label: rest === 'telemetry' ? 'devices/+/telemetry' : 'devices/+/#',
      };
    default:
      return denied;
  }
}

/** Nobody writes under `$SYS`, nobody speaks for a device ([M-12]). */
export function mayPublish(principal: Principal, topic: string): boolean {
  if (topic.startsWith('$SYS')) return false;
  if (principal.kind === 'device') return classify(principal, topic).kind !== 'denied';
  return principal.may_write.some((filter) => covers(filter, topic));
}

/** A device hears its own commands only, however it writes the filter; an account what its filters cover. */
export function maySubscribe(principal: Principal, filter: string): boolean {
  if (principal.kind === 'account') return principal.may_read.some((allowed) => covers(allowed, filter));
  return commandBases(principal).some((base) => isAtOrBelow(filter, base));
}

/** Whether everything that `filter` (or a topic) can match is matched by `allowed` too (MQTT 3.1.1, section 4.7). */
export function covers(allowed: string, filter: string): boolean {
  // [MQTT-4.7.2-1]: a leading wildcard does not reach topics that begin with `$`.
  if (filter.startsWith('$') && (allowed.startsWith('#') || allowed.startsWith('+'))) return false;
  const mine = allowed.split('/');
  const theirs = filter.split('/');
  for (let i = 0; i < mine.length; i++) {
    if (mine[i] === '#') return true;
    const level = theirs[i];
    // `a/#` includes `a` itself.
    if (level === undefined) return false;
    if (level === '#') return false;
    if (mine[i] !== '+' && mine[i] !== level) return false;
    if (i === theirs.length - 1 && i === mine.length - 2 && mine[i + 1] === '#') return true;
  }
  return theirs.length === mine.length;
}

function commandBases(principal: DevicePrincipal): string[] {
  const bases = [`devices/${principal.device_id}/command`];
  for (const name of principal.drn === null ? [principal.meter_id] : [principal.meter_id, principal.drn]) {
    bases.push(`smartmeter/${name}/command`, `meters/${name}/command`);
  }
  return bases;
}

function isOwnMeter(principal: DevicePrincipal, name: string): boolean {
  return name === principal.meter_id || (principal.drn !== null && name === principal.drn);
}

function isAtOrBelow(topic: string, base: string): boolean {
  return topic.startsWith(base) && (topic.length === base.length || topic[base.length] === '/');
}

function route(names: readonly string[], family: string): Map<string, Route> {
  return new Map(
    names.map((name) => {
      const pattern = `${family}/+/${name}`;
      return [name, { kind: name.startsWith('readings') ? 'reading' : 'message', pattern, label: pattern }];
    }),
  );
}
