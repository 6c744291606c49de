#!/bin/sh
# Is every reading of a batch over HTTP stored, and none twice?
#
#   scripts/test-batch-api.sh                              against http://127.0.0.1:1880
#   BASE_URL=…                                             elsewhere
#   TOKEN=… or API_KEY=mfk_…                               in production: an operator; the readings are signed then
#   METERS=10 READINGS=1000 SIGN=true DEADLINE_S=300       how many, whether signed, and the patience for all of it
#   DATABASE_URL=postgres://…                              looks into the table, too
#
# Registers meters of its own, hands their readings in as one batch and waits for its job, hands them in again with the
# same Idempotency-Key and without, then a small batch with faults, and removes the meters; their readings stay, as those
# of any meter. Ends with 0 when the counts are right and each reading is stored once.
set -eu
cd "$(dirname "$0")/.."
curl -fsS --max-time 10 "${BASE_URL:-http://127.0.0.1:1880}/readyz" >/dev/null || {
  echo "No Meterflow answers at ${BASE_URL:-http://127.0.0.1:1880}: npm start" >&2
  exit 1
}
exec node_modules/.bin/node --require tsx/cjs scripts/trial/batch-api.ts
