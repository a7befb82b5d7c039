-- Appends a batch of changes to the log, moves the head and notifies the gateways, all or nothing.
-- With no changes it only checks the end of the log and records that the watcher is alive.
--
-- KEYS: head, log, channel
-- ARGV: term, epoch, prev, maxlen, token, then for each change: position, envelope, images; maxlen is usually
-- empty; when it is set, the log is trimmed and the heartbeat renewed
-- Returns {'OK', appended, trimmed} | {'GAP'} (the log ends before prev) | {'FENCED', term}

local function above(a, b)
  local at, an = string.match(a, '(%d+)-(%d+)')
  local bt, bn = string.match(b, '(%d+)-(%d+)')
  -- 64-bit integers do not fit a Lua number: compare them as text, by length first
  if at ~= bt then
    if #at ~= #bt then return #at > #bt end
    return at > bt
  end
  return tonumber(an) > tonumber(bn)
end

local function now()
  local time = redis.call('TIME')
  -- With the fraction: cut off, it would count as up to a second of silence.
  return string.format('%s.%06d', time[1], time[2])
end

local term, epoch, prev, maxlen, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local head = redis.call('HMGET', KEYS[1], 'term', 'epoch', 'position', 'floor')

if tonumber(head[1] or '0') > tonumber(term) then return {'FENCED', head[1]} end
if head[2] ~= epoch then return {'GAP'} end

-- Trust the log, not the head: either may have outlived the other.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local top = last[1] and last[1][1] or head[4]
if top ~= head[3] then return {'GAP'} end

local count = (#ARGV - 5) / 3
local first = 1
if top ~= prev then
  if above(prev, top) then return {'GAP'} end
  while first <= count and not above(ARGV[3 + first * 3], top) do first = first + 1 end
end

if first > count then
  redis.call('HSET', KEYS[1], 'term', term, 'alive', now())
  return {'OK', 0, 0}
end

local events, images = {}, {}
local previous = top
for i = first, count do
  local at = 3 + i * 3
  -- Each entry names its predecessor, so that readers detect a gap whatever caused it.
  redis.call('XADD', KEYS[2], ARGV[at], 'e', ARGV[at + 1], 'b', ARGV[at + 2], 'p', previous)
  previous = ARGV[at]
  events[#events + 1] = ARGV[at + 1]
  images[#images + 1] = ARGV[at + 2]
end
local position = ARGV[3 + count * 3]
redis.call('HSET', KEYS[1], 'term', term, 'position', position, 'token', token)
local trimmed = 0
if maxlen ~= '' then
  redis.call('HSET', KEYS[1], 'alive', now())
  trimmed = redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', maxlen)
  if trimmed > 0 then
    local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    redis.call('HSET', KEYS[1], 'floor', oldest[2][6])
  end
end
redis.call('PUBLISH', KEYS[3], '{"epoch":"' .. epoch .. '","prev":"' .. top .. '","events":[' .. table.concat(events, ',')
  .. '],"images":[' .. table.concat(images, ',') .. ']}')
return {'OK', #events, trimmed}
