import { hostname } from 'node:os';
import { profileProblems, ruleProblems } from './environment-rules.js';
import { table } from './environment-table.js';
import type { Values, VariableName } from './environment-table.js';

/** All settings of this process, read once at start. Keys are the names of the variables. */
export type Environment = Omit<Values, 'INSTANCE_ID' | 'MQTT_CLIENT_ID'> & {
  readonly INSTANCE_ID: string;
  readonly MQTT_CLIENT_ID: string;
  /** Names (never aliases) that somebody has set. */
  readonly explicit: ReadonlySet<string>;
  /** What holds, as text, defaults included: what a flow reads as `${NAME}`. */
  readonly texts: ReadonlyMap<VariableName, string>;
};

/** Everything that is wrong, one sentence each, so that nobody repairs one value per start. */
export class EnvironmentError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'EnvironmentError';
  }
}

/** Reads all variables of the table; throws an EnvironmentError that lists every bad one at once. */
export function parseEnvironment(source: Readonly<Record<string, string | undefined>>): Environment {
  const problems: string[] = [];
  const explicit = new Map<VariableName, string>();
  for (const name of table.keys()) {
    const said = explicitText(name, source, problems);
    if (said !== undefined) explicit.set(name, said);
  }
  const profile = explicit.get('METERFLOW_PROFILE') === 'production' ? 'production' : 'demo';
  const values: Record<string, unknown> = {};
  const texts = new Map<VariableName, string>();
  for (const [name, variable] of table) {
    const said = explicit.get(name);
    const written = said ?? variable.defaults[profile];
    values[name] = written === undefined ? undefined : variable.kind.parse(written);
    if (written !== undefined) texts.set(name, written);
    if (said !== undefined && values[name] === undefined) {
      problems.push(
        `${name} is ${variable.secret ? 'not usable' : JSON.stringify(said)}: allowed is ${variable.kind.allowed}.`,
      );
    }
  }
  values['INSTANCE_ID'] ??= `${
    hostname()
      .replaceAll(/[^\w.-]/g, '-')
      .slice(0, 50) || 'meterflow'
  }-${String(values['PORT'])}`;
  values['MQTT_CLIENT_ID'] ??= `meterflow-${String(values['INSTANCE_ID'])}`;
  texts
    .set('INSTANCE_ID', String(values['INSTANCE_ID']))
    .set('MQTT_CLIENT_ID', String(values['MQTT_CLIENT_ID']));
  const environment = {
    ...values,
    texts,
    explicit: new Set<string>(explicit.keys()),
  } as unknown as Environment;
  problems.push(...ruleProblems(environment), ...profileProblems(environment));
  if (problems.length > 0) throw new EnvironmentError(problems);
  return environment;
}

/** An empty text counts as unset, as compose files pass it on. Two names with different values are a problem. */
function explicitText(
  name: VariableName,
  source: Readonly<Record<string, string | undefined>>,
  problems: string[],
): string | undefined {
  let found: { name: string; text: string } | undefined;
  for (const candidate of [name, ...(table.get(name)?.aliases ?? [])]) {
    const text = source[candidate]?.trim() ?? '';
    if (text === '') continue;
    if (found !== undefined && found.text !== text) {
      problems.push(
        `${found.name}=${found.text} and ${candidate}=${text} name the same setting: remove one.`,
      );
    }
    found ??= { name: candidate, text };
  }
  return found?.text;
}
