import type { NameKind } from '../devices/names.js';

/** What devices say ([M-1]–[M-5], [M-7], [M-10]). Commands under devices/+/command come along and are left out. */
const upwardFilters: readonly string[] = [
  'meters/+/readings',
  'meters/+/readings.pb',
  'meters/+/token/response',
  'smartmeter/+/consumption',
  'smartmeter/+/status',
  'smartmeter/+/balance',
  'smartmeter/+/balance/request',
  'devices/+/#',
];

export interface TopicName {
  readonly kind: NameKind;
  readonly name: string;
  /** The topic with the name replaced by `+`. */
  readonly pattern: string;
}

/** The name in a topic; null when it is a command, which goes down to a device and is none of ours. */
export function nameOfTopic(topic: string): TopicName | null {
  const first = topic.indexOf('/');
  const second = topic.indexOf('/', first + 1);
  const end = second < 0 ? topic.length : second;
  const rest = topic.slice(end);
  if (rest === '/command' || rest.startsWith('/command/')) return null;
  const family = topic.slice(0, Math.max(first, 0));
  return {
    kind: family === 'devices' ? 'device' : 'meter',
    name: topic.slice(first + 1, end),
    pattern: `${family}/+${rest}`,
  };
}

export function filtersOf(group: string): string[] {
  return upwardFilters.map((filter) => (group === '' ? filter : `$share/${group}/${filter}`));
}
