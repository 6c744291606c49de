/** One row of the API as people read it. */
interface Endpoint {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly answer: string;
}

/** What this version serves; test/http compares the list with the routes of the shipped flows. */
export const endpoints: readonly Endpoint[] = [
  {
    method: 'POST',
    path: '/devices',
    body: '{"type":"meter","meter_id":"METER001"}',
    answer:
      'id, type, mqtt_user, mqtt_password (shown this once), created_at, meter_id, …; optional: name, location, drn, user_id, base_power, base_voltage',
  },
  {
    method: 'GET',
    path: '/devices',
    answer: '{data, page, limit, total}; page, limit, sort, order, filters by field',
  },
  { method: 'GET', path: '/devices/{id}', answer: 'the device; {id} is its id or its meter_id' },
  { method: 'PATCH', path: '/devices/{id}', body: '{"name":"Kitchen"}', answer: 'the device' },
  { method: 'DELETE', path: '/devices/{id}', answer: 'closes its live session, keeps its history' },
  { method: 'GET', path: '/api/meter_data', answer: 'latest reading of every meter, paged' },
  { method: 'GET', path: '/api/meter_data/{meter_id}', answer: 'latest reading of one' },
  { method: 'GET', path: '/api/meters/{meter_id}/readings', answer: 'readings from start to end, paged' },
  { method: 'GET', path: '/healthz', answer: 'the process lives' },
  {
    method: 'GET',
    path: '/readyz',
    answer: 'database, broker and flows work; 503 with the reason otherwise',
  },
  { method: 'GET', path: '/metrics', answer: 'Prometheus' },
];

/** The page behind /docs/index.html, without scripts. */
export function docsPage(): string {
  const rows = endpoints.map(
    ({ method, path, body, answer }) =>
      `<tr><td><code>${method} ${path}</code>${body === undefined ? '' : `<br><code class="body">${escape(body)}</code>`}</td><td>${escape(answer)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Meterflow API</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td{border-top:1px solid #ccc;padding:.5rem;vertical-align:top}.body{color:#666}</style></head>
<body><h1>Meterflow API</h1>
<p>JSON in and out. Errors are <code>{"error":{"code","message","details"?}}</code> with the right status.</p>
<table>${rows.join('\n')}</table>
</body></html>
`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
