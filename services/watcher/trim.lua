-- Drops the oldest entries of the log, and raises the floor to the last of them, so that readers know what is missing.
-- Either those before a position, or, to make room in a full Redis, a quarter of them: down to a minimum that lets
-- gateways catch up after a moment's absence.
--
-- KEYS: head, log
-- ARGV: term, position (empty: a quarter), and the minimum: entries, and the bytes beyond which even fewer are kept
-- Returns {'OK', dropped, kept} | {'FENCED', term}

local stored = redis.call('HGET', KEYS[1], 'term')
if tonumber(stored or '0') > tonumber(ARGV[1]) then return {'FENCED', stored} end

local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not newest then return {'OK', 0, 0} end

local length = redis.call('XLEN', KEYS[2])
local dropped = 0
if ARGV[2] ~= '' then
  dropped = redis.call('XTRIM', KEYS[2], 'MINID', ARGV[2])
else
  local least = tonumber(ARGV[3])
  if length <= least then
    -- Fails where the user may not ask; then these few are kept.
    local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[2], 'SAMPLES', '0')
    if type(bytes) == 'number' and bytes > tonumber(ARGV[4]) then least = 1 end
  end
  local keep = math.max(least, math.floor(length * 3 / 4))
  if length > keep then dropped = redis.call('XTRIM', KEYS[2], 'MAXLEN', keep) end
end

-- Never a command that needs memory before the first that frees some: a full Redis refuses it.
if dropped > 0 then
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  redis.call('HSET', KEYS[1], 'floor', oldest and oldest[2][6] or newest[1])
end
return {'OK', dropped, length - dropped}
