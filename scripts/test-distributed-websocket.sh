#!/bin/sh
# Do listeners of every instance hear every event once?
#
#   scripts/test-distributed-websocket.sh [URL]…          e.g. http://127.0.0.1:1880 http://127.0.0.1:1881
#   CLIENTS=100 READINGS=20                                listeners on each, readings
#   TOKEN=… or API_KEY=mfk_…                               in production: an operator, or a key with devices:write,
#                                                          readings:write and live; the readings are signed then
#
# With several addresses the instances share a database and REDIS_URL. A meter is registered at the first one, its
# readings are submitted there, and it is removed again. Ends with 0 when nobody missed an event or heard one twice.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- "${BASE_URL:-http://127.0.0.1:1880}"
for house; do
  curl -fsS --max-time 10 "$house/readyz" >/dev/null || {
    echo "No Meterflow answers at $house: npm start" >&2
    exit 1
  }
done
exec node_modules/.bin/node --require tsx/cjs scripts/live-listeners.ts \
  --clients "${CLIENTS:-100}" --readings "${READINGS:-20}" "$@"
