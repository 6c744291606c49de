#!/bin/sh
# How often does the cache answer, how fast, and never with what was true before a write?
#
#   scripts/test-cache-performance.sh [URL]…               e.g. http://127.0.0.1:1880 http://127.0.0.1:1881
#   BASE_URL=…                                             instead of an address
#   TOKEN=… or API_KEY=mfk_…                               in production: an operator; the readings are signed then
#   METERS=100 REQUESTS=3000 CALLERS=16 WRITES=20          how many meters, questions, at a time, writes between them
#   SIGN=true DEADLINE_S=300                               whether readings are signed, and the patience for all of it
#
# With several addresses the instances share a database, and REDIS_URL or none of them has one. Meters are registered at
# the first, readings submitted there; the meters are removed again, their readings stay. Signing takes a key for each
# meter, of which production registers five a minute (REGISTRATIONS_PER_MINUTE): ten meters then, unless METERS says
# otherwise. Ends with 0 when more than 70 % of the answers were hits and every write was seen.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- "${BASE_URL:-http://127.0.0.1:1880}"
for house; do
  curl -fsS --max-time 10 "$house/readyz" >/dev/null || {
    echo "No Meterflow answers at $house: npm start" >&2
    exit 1
  }
done
exec node_modules/.bin/node --require tsx/cjs scripts/trial/cache-performance.ts "$@"
