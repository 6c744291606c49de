#!/bin/sh
# Is every reading that a meter sends by MQTT stored, and none twice?
#
#   scripts/test-mqtt-ingestion.sh                         against http://127.0.0.1:1880 and mqtt://127.0.0.1:1883
#   BASE_URL=… MQTT_HOST=… MQTT_PORT=… MQTT_CA=ca.pem      elsewhere; with a CA over TLS
#   TOKEN=… or API_KEY=mfk_…                               in production: an operator; the readings are signed then
#   METERS=10 READINGS=1000 SIGN=true DEADLINE_S=300       how many, whether signed, and the patience for all of it
#   DATABASE_URL=postgres://…                              looks into the table, too
#
# Registers meters of its own, publishes a quarter hour of each after the other with QoS 1, all of them twice, and removes
# the meters again; their readings stay, as those of any meter. Ends with 0 when each is stored once.
set -eu
cd "$(dirname "$0")/.."
curl -fsS --max-time 10 "${BASE_URL:-http://127.0.0.1:1880}/readyz" >/dev/null || {
  echo "No Meterflow answers at ${BASE_URL:-http://127.0.0.1:1880}: npm start" >&2
  exit 1
}
exec node_modules/.bin/node --require tsx/cjs scripts/trial/mqtt-ingestion.ts
