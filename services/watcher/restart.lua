-- Empties the log and restarts it after a position: for a new epoch, or to rebuild a log that Redis lost.
--
-- KEYS: head, log, channel
-- ARGV: term, epoch, reason, floor, token
-- Returns {'OK'} | {'FENCED', term}

local term, epoch, reason, floor, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local stored = redis.call('HGET', KEYS[1], 'term')
local time = redis.call('TIME')
-- With the fraction: cut off, it would count as up to a second of silence.
local now = string.format('%s.%06d', time[1], time[2])

if tonumber(stored or '0') > tonumber(term) then return {'FENCED', stored} end

-- The command that fails when Redis is full comes first: a script is not rolled back.
redis.call('HSET', KEYS[1], 'term', term, 'epoch', epoch, 'reason', reason, 'floor', floor, 'position', floor,
  'token', token, 'alive', now)
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', KEYS[3], '{"epoch":"' .. epoch .. '","prev":"' .. floor .. '","events":[],"images":[]}')
return {'OK'}
