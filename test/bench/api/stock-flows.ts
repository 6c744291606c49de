import type { Question } from '../peers/plain-questions.js';

const tab = 'f200000000000000';
const routes: readonly (readonly [method: 'get' | 'post', url: string, question: Question])[] = [
  ['get', '/api/meter_data/:id', 'latest'],
  ['get', '/api/meters/:id/readings', 'readings'],
  ['get', '/api/meters/:id/stats/hourly', 'hourly'],
  ['get', '/api/meters/:id/stats/daily', 'daily'],
  ['get', '/api/meters/stats', 'totals'],
  ['get', '/api/meters/:id/balance', 'balance'],
  ['get', '/devices', 'devices'],
  ['post', '/api/meters/submit-reading', 'submit'],
];

/** A row of three stock nodes for each route. */
export function stockApiFlows(): object[] {
  const rows = routes.flatMap(([method, url, question], row) => {
    const [entry = '', asked = '', answer = ''] = [1, 2, 3].map((column) => `f2000000000000${row}${column}`);
    const place = { z: tab, y: 60 + 60 * row };
    return [
      {
        ...place,
        id: entry,
        type: 'http in',
        name: '',
        url,
        method,
        upload: false,
        swaggerDoc: '',
        x: 160,
        wires: [[asked]],
      },
      {
        ...place,
        id: asked,
        type: 'function',
        name: question,
        func: functionOf(question),
        outputs: 1,
        timeout: 0,
        noerr: 0,
        initialize: '',
        finalize: '',
        libs: [],
        x: 420,
        wires: [[answer]],
      },
      {
        ...place,
        id: answer,
        type: 'http response',
        name: '',
        statusCode: '',
        headers: {},
        x: 640,
        wires: [],
      },
    ];
  });
  return [{ id: tab, type: 'tab', label: 'API', disabled: false, info: '' }, ...rows];
}

function functionOf(question: Question): string {
  return [
    'const { params, query, headers, body } = msg.req;',
    `const said = await global.get('ask').${question}({ id: params.id ?? '', query, body, user: headers['x-user-id'] ?? '' });`,
    'msg.statusCode = said.status;',
    'msg.payload = said.payload;',
    'msg.headers = {};',
    'return msg;',
  ].join('\n');
}
