import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The process-wide Prometheus registry. Labels never carry a meter id. */
export const registry = new Registry();

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const registers = [registry];

export const metrics = {
  readingsSubmitted: new Counter({
    name: 'meter_readings_submitted_total',
    help: 'Readings whose outcome is committed as stored or duplicate',
    labelNames: ['source'],
    registers,
  }),
  readingErrors: new Counter({
    name: 'meter_readings_validation_errors_total',
    help: 'Readings refused, by code',
    labelNames: ['error_type'],
    registers,
  }),
  readingSeconds: new Histogram({
    name: 'meter_readings_processing_duration_seconds',
    help: 'From the arrival of a batch of readings in the store to its commit',
    buckets: seconds,
    registers,
  }),
  mqttReceived: new Counter({
    name: 'mqtt_messages_received_total',
    help: 'Messages received from devices, by topic pattern',
    labelNames: ['topic'],
    registers,
  }),
  mqttConnectionErrors: new Counter({
    name: 'mqtt_connection_errors_total',
    help: 'Connections refused or broken off for a protocol error',
    registers,
  }),
  mqttPublished: new Counter({
    name: 'meterflow_mqtt_messages_published_total',
    help: 'Messages sent to devices and other subscribers',
    registers,
  }),
  mqttClients: new Gauge({
    name: 'meterflow_mqtt_clients_connected',
    help: 'MQTT clients connected now',
    registers,
  }),
  mqttConnectionSeconds: new Histogram({
    name: 'meterflow_mqtt_connection_seconds',
    help: 'Length of a finished MQTT connection',
    buckets: [1, 10, 60, 600, 3600, 21600, 86400],
    registers,
  }),
  mqttReconnects: new Counter({
    name: 'meterflow_mqtt_reconnects_total',
    help: 'Connects of a client that had been connected before in this process',
    registers,
  }),
  mqttRefused: new Counter({
    name: 'meterflow_mqtt_refused_total',
    help: 'Refusals by the broker: login, publish, subscribe',
    labelNames: ['what', 'reason'],
    registers,
  }),
  mqttCertificateExpires: new Gauge({
    name: 'meterflow_mqtt_certificate_expires_seconds',
    help: 'When the certificate of MQTTS expires, Unix time; 0 without TLS',
    registers,
  }),
  deliverySeconds: new Histogram({
    name: 'meterflow_delivery_seconds',
    help: 'From PUBLISH to PUBACK',
    buckets: seconds,
    registers,
  }),
  inflight: new Gauge({ name: 'meterflow_inflight', help: 'Deliveries not yet settled', registers }),
  inflightBytes: new Gauge({
    name: 'meterflow_inflight_bytes',
    help: 'Payload bytes of deliveries not yet settled',
    registers,
  }),
  deliveriesGivenUp: new Counter({
    name: 'meterflow_deliveries_given_up_total',
    help: 'Deliveries that the flow never settled within the deadline',
    registers,
  }),
  deliveriesSettled: new Counter({
    name: 'meterflow_deliveries_settled_total',
    help: 'Deliveries acknowledged after the commit of their outcome',
    registers,
  }),
  quarantined: new Counter({
    name: 'meterflow_quarantined_total',
    help: 'Messages quarantined, by code',
    labelNames: ['code'],
    registers,
  }),
  replays: new Counter({
    name: 'meterflow_quarantine_replays_total',
    help: 'Quarantined messages replayed, by outcome: stored, duplicate, refused',
    labelNames: ['outcome'],
    registers,
  }),
  activeMeters: new Gauge({
    name: 'meterflow_active_meters',
    help: 'Meters with a stored reading in this process within the last hour',
    registers,
  }),
  signatureVerifications: new Counter({
    name: 'device_signature_verifications_total',
    help: 'Signatures of readings, by whether they were right and their key good',
    labelNames: ['result'],
    registers,
  }),
  deviceAuthSeconds: new Histogram({
    name: 'device_authentication_duration_seconds',
    help: 'From the arrival of a batch of readings at the verifier to its verdict',
    buckets: [0.0001, 0.00025, 0.0005, ...seconds],
    registers,
  }),
  keysRegistered: new Counter({
    name: 'device_keys_registered_total',
    help: 'Signing keys handed out: registered or rotated',
    registers,
  }),
  keysRevoked: new Counter({
    name: 'device_keys_revoked_total',
    help: 'Signing keys revoked',
    registers,
  }),
  keysDue: new Gauge({
    name: 'meterflow_device_keys_due',
    help: 'Current signing keys older than DEVICE_KEY_ROTATION_DAYS',
    registers,
  }),
  batchesSubmitted: new Counter({
    name: 'batch_jobs_submitted_total',
    help: 'Batches of readings accepted over HTTP',
    registers,
  }),
  batchesCompleted: new Counter({
    name: 'batch_jobs_completed_total',
    help: 'Batches whose outcome is committed; failed when all attempts are used up',
    labelNames: ['status'],
    registers,
  }),
  batchSeconds: new Histogram({
    name: 'batch_processing_duration_seconds',
    help: 'From the begin of the attempt that stored a batch to its commit',
    buckets: seconds,
    registers,
  }),
  batchReadings: new Histogram({
    name: 'batch_readings_per_job',
    help: 'Readings of an accepted batch',
    buckets: [1, 10, 50, 100, 250, 500, 1000],
    registers,
  }),
  anomalies: new Counter({
    name: 'meterflow_anomalies_total',
    help: 'What was noticed as out of the ordinary, by kind',
    labelNames: ['kind'],
    registers,
  }),
  payments: new Counter({
    name: 'meterflow_payments_total',
    help: 'What the payment provider told us of, by outcome: accepted, suspense, failed, disputed, duplicate',
    labelNames: ['outcome'],
    registers,
  }),
  paymentCallbacksRefused: new Counter({
    name: 'meterflow_payment_callbacks_refused_total',
    help: 'Callbacks refused before anything of them was read, by reason: secret, address, size, form',
    labelNames: ['reason'],
    registers,
  }),
  consumptionReports: new Counter({
    name: 'meterflow_consumption_reports_total',
    help: 'Consumption reports of prepaid meters whose outcome is decided: applied, duplicate, rejected',
    labelNames: ['outcome'],
    registers,
  }),
  consumptionSeconds: new Histogram({
    name: 'meterflow_consumption_seconds',
    help: 'From the arrival of a batch of consumption reports to its commit',
    buckets: seconds,
    registers,
  }),
  consumptionKwh: new Counter({
    name: 'meterflow_consumption_kwh_total',
    help: 'Energy that prepaid meters reported and the ledger deducted',
    registers,
  }),
  balanceUpdates: new Counter({
    name: 'meterflow_balance_updates_total',
    help: 'Changes of a meter’s balance: consumption, payments, reversals',
    registers,
  }),
  balanceCommandsOpen: new Gauge({
    name: 'meterflow_balance_commands_open',
    help: 'Balance commands that no meter has confirmed yet',
    registers,
  }),
  balanceCommandsSent: new Counter({
    name: 'meterflow_balance_commands_sent_total',
    help: 'Balance commands taken by the broker, by whether it was the first attempt or a repeat',
    labelNames: ['attempt'],
    registers,
  }),
  balanceSendSeconds: new Histogram({
    name: 'meterflow_balance_send_seconds',
    help: 'From the commit that wanted a balance command to the broker’s acknowledgement of its first attempt',
    buckets: seconds,
    registers,
  }),
  balanceConfirmSeconds: new Histogram({
    name: 'meterflow_balance_confirm_seconds',
    help: 'From the commit that wanted a balance command to the meter’s confirmation, its absence included',
    buckets: [...seconds, 60, 600, 3600, 21600, 86400, 604800],
    registers,
  }),
  balanceDrifts: new Counter({
    name: 'meterflow_balance_drifts_total',
    help: 'Reports of meters whose own balance is beyond the threshold from the ledger’s',
    registers,
  }),
  unheardMessages: new Counter({
    name: 'meterflow_unheard_messages_total',
    help: 'Messages of QoS 0 dropped because too many wait for the database',
    labelNames: ['topic'],
    registers,
  }),
  tokenInjections: new Counter({
    name: 'meterflow_token_injections_total',
    help: 'Token injections that ended: success, why the meter refused, the error code of others; late: completed by a late answer',
    labelNames: ['outcome'],
    registers,
  }),
  tokenInjectionsWaiting: new Gauge({
    name: 'meterflow_token_injections_waiting',
    help: 'Token injections that wait for their meter, or in line for it',
    registers,
  }),
  tokenInjectionSeconds: new Histogram({
    name: 'meterflow_token_injection_seconds',
    help: 'From the turn of a token injection to its answer',
    buckets: [...seconds, 30, 60],
    registers,
  }),
  tokenAnswersIgnored: new Counter({
    name: 'meterflow_token_answers_ignored_total',
    help: 'Answers of meters to tokens that were not taken: unreadable, other_meter, repeated, early (before the token was sent), ambiguous, awaited (by another instance), none (to none of ours), not_committed',
    labelNames: ['reason'],
    registers,
  }),
  deviceEvents: new Counter({
    name: 'meterflow_device_events_published_total',
    help: 'Device events that the broker has acknowledged, by type; without replays',
    labelNames: ['event_type'],
    registers,
  }),
  deviceEventsOpen: new Gauge({
    name: 'meterflow_device_events_open',
    help: 'Device events that are still to be published',
    registers,
  }),
  deviceEventLagSeconds: new Histogram({
    name: 'meterflow_device_event_lag_seconds',
    help: 'From a change of a device to the broker’s acknowledgement of its event, written down',
    buckets: [...seconds, 60, 600, 3600, 21600, 86400],
    registers,
  }),
  mocks: new Gauge({
    name: 'meterflow_mocks',
    help: 'Mock devices that this process plays',
    registers,
  }),
  mocksOnline: new Gauge({
    name: 'meterflow_mocks_online',
    help: 'Mock devices of this process that are connected',
    registers,
  }),
  mockEvents: new Counter({
    name: 'meterflow_mock_events_total',
    help: 'Device events heard for the mocks: created, updated, deleted; unchanged (old, repeated, of a mock), refused',
    labelNames: ['outcome'],
    registers,
  }),
  mockTelemetry: new Counter({
    name: 'meterflow_mock_telemetry_total',
    help: 'Telemetry messages sent by mock devices',
    registers,
  }),
  mockTelemetryDropped: new Counter({
    name: 'meterflow_mock_telemetry_dropped_total',
    help: 'Telemetry messages of mock devices dropped because the broker does not keep up',
    registers,
  }),
  mintRequests: new Counter({
    name: 'meterflow_mint_requests_total',
    help: 'Attempts to have readings minted, by what came of them: minted, refused, abandoned, put off',
    labelNames: ['outcome'],
    registers,
  }),
  mintRequestsWaiting: new Gauge({
    name: 'meterflow_mint_requests_waiting',
    help: 'Readings handed over for minting that the service has not ended',
    registers,
  }),
  mintSeconds: new Histogram({
    name: 'meterflow_mint_seconds',
    help: 'From the request to the mint, written down',
    buckets: [...seconds, 60, 600, 3600],
    registers,
  }),
  webSocketClients: new Gauge({
    name: 'websocket_clients_connected',
    help: 'Listeners of live events connected to this process now',
    registers,
  }),
  webSocketMessages: new Counter({
    name: 'websocket_messages_sent_total',
    help: 'Live events sent, one for each listener, by event',
    labelNames: ['event_type'],
    registers,
  }),
  webSocketBroadcastSeconds: new Histogram({
    name: 'websocket_broadcast_duration_seconds',
    help: 'From the first event of a tick to the last socket that it was written to',
    buckets: [0.0001, 0.00025, 0.0005, ...seconds],
    registers,
  }),
  webSocketRefused: new Counter({
    name: 'meterflow_websocket_refused_total',
    help: 'Listeners not let in, by error code',
    labelNames: ['reason'],
    registers,
  }),
  webSocketDropped: new Counter({
    name: 'meterflow_websocket_dropped_total',
    help: 'Listeners sent away: slow, silent, expired, mistaken, talkative, binary, unchecked, stopping, restarting',
    labelNames: ['reason'],
    registers,
  }),
  redisMessages: new Counter({
    name: 'redis_pubsub_messages_total',
    help: 'Messages of live events sent to Redis and taken from it, by channel',
    labelNames: ['channel'],
    registers,
  }),
  redisEvents: new Counter({
    name: 'meterflow_redis_events_total',
    help: 'Live events by what became of them at Redis: sent, lost (Redis was away), received, doubled, missed (of another instance)',
    labelNames: ['outcome'],
    registers,
  }),
  redisUp: new Gauge({
    name: 'meterflow_redis_up',
    help: '1 while events travel between instances',
    registers,
  }),
  ledgerDiscrepancies: new Gauge({
    name: 'meterflow_ledger_discrepancies',
    help: 'Places where the books are not what they must be, by the last look',
    registers,
  }),
  forwarded: new Counter({
    name: 'meterflow_forwarded_messages_total',
    help: 'Messages that JetStream has acknowledged, by QoS: 1 (also 2) from the journal, 0 as they came',
    labelNames: ['qos'],
    registers,
  }),
  forwardDropped: new Counter({
    name: 'meterflow_forward_dropped_total',
    help: 'Messages that will never be in JetStream: qos 0 (too many wait), journal (older than it is kept), too large',
    labelNames: ['reason'],
    registers,
  }),
  forwardBacklog: new Gauge({
    name: 'meterflow_forward_backlog',
    help: 'Messages in the journals of all instances that JetStream has not acknowledged',
    registers,
  }),
  forwardLag: new Gauge({
    name: 'meterflow_forward_lag_seconds',
    help: 'Age of the oldest message that JetStream has not acknowledged',
    registers,
  }),
  forwardConnected: new Gauge({
    name: 'meterflow_forward_connected',
    help: '1 while messages go to JetStream; 0 also when nobody forwards',
    registers,
  }),
  forwardSeconds: new Histogram({
    name: 'meterflow_forward_seconds',
    help: 'From the arrival of a message to its acknowledgement by JetStream, of the oldest of each journal row',
    buckets: [...seconds, 60, 600, 3600],
    registers,
  }),
  statisticsNotes: new Gauge({
    name: 'meterflow_statistics_notes',
    help: 'Changes of days that are written down, still to be worked off; they are computed from the readings meanwhile',
    registers,
  }),
  statisticsSealed: new Counter({
    name: 'meterflow_statistics_days_sealed_total',
    help: 'Days whose hourly and daily statistics were written down by this process',
    registers,
  }),
  partitionsDropped: new Counter({
    name: 'meterflow_partitions_dropped_total',
    help: 'Days dropped for their age by this process',
    labelNames: ['table'],
    registers,
  }),
  refusedCalls: new Counter({
    name: 'meterflow_refused_calls_total',
    help: 'Calls with a token or key that does not hold, by reason: what was wrong with it',
    labelNames: ['reason'],
    registers,
  }),
  databaseUp: new Gauge({ name: 'meterflow_database_up', help: '1 while the database answers', registers }),
} as const;
