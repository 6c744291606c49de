import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Fact } from './judge.js';
import { tokenOf, type Call } from './plan.js';
import { messageIdOf, type PlayedMeters } from './played-meters.js';

/** The meter-management system: takes a token by HTTP, answers 202, and hands it to the meter. */
export interface PlayedVendor {
  readonly url: string;
  /** Forgets the calls of before, and knows these. */
  expect(calls: readonly Call[], meters: PlayedMeters): void;
  /** By token; of the expected calls. */
  readonly facts: ReadonlyMap<number, Fact>;
  /** Calls for a token that was handed over already. */
  readonly repeats: number;
  close(): void;
}

/** A meter that is faster than the vendor's 202 is so by this much. */
const beforeMs = 150;

export async function openVendor(): Promise<PlayedVendor> {
  const expected = new Map<string, Call>();
  const facts = new Map<number, { -readonly [F in keyof Fact]: Fact[F] }>();
  let meters: PlayedMeters | undefined;
  let repeats = 0;

  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const calledAt = performance.now();
      const { credit_token } = JSON.parse(text) as { credit_token: string };
      const call = expected.get(credit_token);
      const say = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (call === undefined || meters === undefined) return say(404, {});
      const { token, meter, course } = call;
      const known = facts.get(token);
      if (known !== undefined) repeats += 1;
      const vendor = course === 'turned down' ? ('turned down' as const) : ('accepted' as const);
      const begun = {
        token,
        meter,
        vendor,
        calledAt,
        acceptedAt: null,
        answeredAt: null,
        said: null,
        againAt: null,
      };
      const fact = known ?? begun;
      facts.set(token, fact);
      if (vendor === 'turned down') return say(409, { error: 'The meter has no contract.' });
      if (course !== 'never') meters.take(call, fact);
      const accept = (): void => {
        fact.acceptedAt ??= performance.now();
        say(202, { message_id: messageIdOf(token) });
      };
      if (course === 'before') return void setTimeout(accept, beforeMs);
      return accept();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.keepAliveTimeout = 60_000;

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tokens`,
    expect(calls, played) {
      expected.clear();
      facts.clear();
      for (const call of calls) expected.set(tokenOf(call.token), call);
      meters = played;
    },
    facts,
    get repeats() {
      return repeats;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
