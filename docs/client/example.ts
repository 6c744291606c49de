/**
 * npm start: registers a meter, listens to it, submits a reading twice and a wrong one, asks for its hours, and removes
 * it. BASE_URL (http://127.0.0.1:1880); in production TOKEN or API_KEY of an operator.
 */
import { listen } from './live.ts';
import { answer, createMeterflow, Refusal } from './meterflow.ts';

const url = process.env['BASE_URL'] ?? 'http://127.0.0.1:1880';
const login = { token: process.env['TOKEN'], apiKey: process.env['API_KEY'] };
const api = createMeterflow(url, login);

const meter = await answer(api.POST('/devices', { body: { type: 'meter', name: 'A typed client' } }));
const { id, meter_id } = meter;
console.log('registered', meter_id);
try {
  const wish = { events: ['MeterReadingSubmitted' as const], meters: [meter_id] };
  const messages = (await listen(url, wish, login, AbortSignal.timeout(30_000))).getReader();

  const body = { meter_id, kwh_amount: 1.25, reading_timestamp: quarterHour() };
  for (const _time of ['once', 'again']) {
    const { outcome } = await answer(api.POST('/api/meters/submit-reading', { body }));
    console.log('submitted', body.kwh_amount, 'kWh:', outcome);
  }
  const { value: told } = await messages.read();
  if (told?.event !== 'MeterReadingSubmitted') throw new Error('nothing was heard on /ws');
  console.log('heard', told.data.kwh_amount, 'kWh of', told.data.timestamp);
  await messages.cancel();

  await answer(api.POST('/api/meters/submit-reading', { body: { ...body, kwh_amount: 4000 } })).catch(
    (error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
      console.log('refused', error.status, error.code);
    },
  );

  const path = { meter_id };
  const hours = await answer(api.GET('/api/meters/{meter_id}/stats/hourly', { params: { path } }));
  for (const { hour_bucket, reading_count, total_kwh } of hours)
    console.log('hour', hour_bucket, reading_count, 'reading', total_kwh, 'kWh');
} finally {
  await answer(api.DELETE('/devices/{id}', { params: { path: { id } } }));
  console.log('removed', meter_id);
}

/** The last one that is over: readings of a meter are 15 minutes apart. */
function quarterHour(): string {
  const length = 900_000;
  return new Date(Math.floor(Date.now() / length) * length).toISOString();
}
