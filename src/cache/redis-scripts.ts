/**
 * What Redis does in one step. A key is a hash, an answer or a lease in each field: `V {epoch} {ends} {answer}` or
 * `L {epoch} {ends} {token}`; what has another epoch or has ended (Unix ms, by Redis' own clock) is not there. KEYS: the
 * key, and the one that holds the epoch.
 */
const head = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = redis.call('GET', KEYS[2])
local kind, rest
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  local its, ends
  kind, its, ends, rest = string.match(found, '^(%a) (%S+) (%d+) (.*)$')
  if its ~= epoch or tonumber(ends) <= now then kind = nil end
end
local function write(letter, text, ms)
  redis.call('HSET', KEYS[1], ARGV[1], letter .. ' ' .. epoch .. ' ' .. string.format('%.0f', now + ms) .. ' ' .. text)
  if redis.call('PTTL', KEYS[1]) < tonumber(ms) then redis.call('PEXPIRE', KEYS[1], ms) end
end
`;

/** ARGV: part, token, epoch if there is none, milliseconds of a lease. @returns {V, answer} or {L, who has the lease} */
export const lookScript = `${head}
if kind then return {kind, rest} end
if not epoch then
  epoch = ARGV[3]
  redis.call('SET', KEYS[2], epoch)
end
write('L', ARGV[2], ARGV[4])
return {'L', ARGV[2]}
`;

/** ARGV: part, token, answer, milliseconds. @returns 0 when the lease is over */
export const keepScript = `${head}
if kind ~= 'L' or rest ~= ARGV[2] then return 0 end
write('V', ARGV[3], ARGV[4])
return 1
`;

/** ARGV: part, token. */
export const releaseScript = `${head}
if kind == 'L' and rest == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
`;
