import type { NodeAPI } from 'node-red';
import { judgedCaller } from '../../src/callers/judged.js';

/** A browser's socket, as the dashboard hands it to its plugins. */
interface Connection {
  readonly request?: object;
}

type Said = Record<string, unknown>;

/**
 * Tells flows who it is at the dashboard: `msg._client.user`, from the login that the gate in front has judged. What a
 * browser says of itself is taken away, as are a request and a caller: those come from `http in` and `api-guard` alone.
 */
export default function (RED: NodeAPI): void {
  const { plugins } = RED as unknown as {
    plugins: { registerPlugin(id: string, definition: object): void };
  };
  plugins.registerPlugin('meterflow-dashboard-person', {
    type: 'node-red-dashboard-2',
    hooks: {
      onAction: (connection: Connection, _widget: string, said: unknown) => signed(connection, said),
      onSend: (connection: Connection, _widget: string, said: unknown) => signed(connection, said),
      // By now other plugins may have said who it is, where no gate of ours stands in front.
      onAddConnectionCredentials: (connection: Connection, said: Said) => withPerson(connection, said),
    },
  });
}

/** Widgets with several outputs send lists; a plain value becomes a payload, so that it can be signed. */
export function signed(connection: Connection, said: unknown): unknown {
  // Nothing to say on this output; the dashboard stops there by itself.
  if (said === null || said === undefined) return said;
  if (Array.isArray(said)) return said.map((one: unknown) => signed(connection, one));
  return sign(connection, isSaid(said) ? said : { payload: said });
}

function sign(connection: Connection, said: Said): Said {
  const { caller: _caller, req: _request, res: _response, _client, ...rest } = said;
  const { user: _user, ...client } = isSaid(_client) ? _client : {};
  return withPerson(connection, { ...rest, _client: client });
}

function withPerson({ request }: Connection, said: Said): Said {
  const person = request === undefined ? undefined : judgedCaller(request);
  if (person === undefined) return said;
  const { name, user_id, role } = person;
  const client = isSaid(said['_client']) ? said['_client'] : {};
  return { ...said, _client: { ...client, user: { name, user_id, role } } };
}

function isSaid(value: unknown): value is Said {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}
