import type { IncomingMessage, ServerResponse } from 'node:http';
import { readJson } from '../../http/body.js';
import { isFields } from '../../payments/provider-values.js';
import { isRefusal, type Fields, type Refusal } from './requests.js';
import type { PaymentSimulator } from './simulator.js';

/** Where a customer who pays to the short code is played; the other paths are the real provider's. */
const payBillPath = '/simulate/c2b';

const bodyLimits = { bytesMax: 65_536, depthMax: 16 };

/** The simulator over HTTP, as the real API answers: paths, states, codes. `path` is without what it is mounted under. */
export function serveSimulator(simulator: PaymentSimulator) {
  const operations: Readonly<Record<string, (said: Fields) => object | Refusal>> = {
    'POST /mpesa/stkpush/v1/processrequest': (said) => simulator.push(said),
    'POST /mpesa/stkpushquery/v1/query': (said) => simulator.query(said),
    'POST /mpesa/c2b/v1/registerurl': (said) => simulator.registerUrls(said),
  };

  async function answer(request: IncomingMessage, path: string): Promise<{ status: number; body: object }> {
    const { authorization } = request.headers;
    const name = `${request.method} ${path}`;
    if (name === 'GET /oauth/v1/generate') {
      const token = simulator.token(authorization);
      return token === undefined ? refused(wrongLogin) : { status: 200, body: token };
    }
    if (name === 'GET /simulate/payments') return { status: 200, body: { data: simulator.taken() } };
    const isCustomer = name === `POST ${payBillPath}`;
    const operation = operations[name];
    if (operation === undefined && !isCustomer) return refused(notFound);
    if (!isCustomer && !simulator.isKnownToken(authorization)) return refused(wrongToken);
    const said = await fieldsOf(request);
    if (said === undefined) return refused(notJson);
    if (operation === undefined) return billAnswer(await simulator.payBill(said));
    const result = operation(said);
    return isRefusal(result) ? refused(result) : { status: 200, body: result };
  }

  return async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const { status, body } = await answer(request, path);
    const text = JSON.stringify(body);
    response.writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
}

function billAnswer(result: Awaited<ReturnType<PaymentSimulator['payBill']>>): {
  status: number;
  body: object;
} {
  if (result.outcome === 'paid')
    return {
      status: 200,
      body: { ResponseCode: '0', ResponseDescription: 'Accepted', TransID: result.receipt },
    };
  return { status: 422, body: { ResponseCode: result.code, ResponseDescription: 'Rejected' } };
}

function refused({ status, errorCode, errorMessage }: Refusal): { status: number; body: object } {
  return { status, body: { requestId: `${Date.now()}`, errorCode, errorMessage } };
}

async function fieldsOf(request: IncomingMessage): Promise<Fields | undefined> {
  try {
    const said = await readJson(request, bodyLimits);
    return isFields(said) ? said : undefined;
  } catch {
    return undefined;
  }
}

const wrongLogin: Refusal = {
  status: 400,
  errorCode: '400.008.01',
  errorMessage: 'Invalid Authentication passed',
};
const wrongToken: Refusal = { status: 401, errorCode: '404.001.03', errorMessage: 'Invalid Access Token' };
const notFound: Refusal = { status: 404, errorCode: '404.001.01', errorMessage: 'Resource not found' };
const notJson: Refusal = { status: 400, errorCode: '400.002.05', errorMessage: 'Invalid Request Payload' };
