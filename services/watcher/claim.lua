-- Claims the log for a lease term, which fences off watchers of older terms.
--
-- KEYS: head, log
-- ARGV: term
-- Returns {'FENCED', term} | {'OK'} (the log is missing or incomplete) | {'OK', epoch, position, token, entries, bytes}

local head = redis.call('HMGET', KEYS[1], 'term', 'epoch', 'position', 'floor', 'token')

if tonumber(head[1] or '0') > tonumber(ARGV[1]) then return {'FENCED', head[1]} end
redis.call('HSET', KEYS[1], 'term', ARGV[1])

local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local top = last[1] and last[1][1] or head[4]
if not head[2] or top ~= head[3] then return {'OK'} end

-- Fails where the user may not ask.
local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[2], 'SAMPLES', '0')
return {'OK', head[2], head[3], head[5], redis.call('XLEN', KEYS[2]), type(bytes) == 'number' and bytes or 0}
