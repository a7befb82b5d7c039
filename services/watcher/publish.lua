-- Appends a batch of changes to the log, moves the head and tells the gateways, all or nothing.
-- With no changes it only checks the chain and says that the watcher is alive.
--
-- KEYS: head, log, channel
-- ARGV: term, epoch, prev, maxlen, token, then for each change: position, envelope, images; maxlen is empty but now and
-- then, when the log is to be trimmed and the sign of life renewed
-- Answers {'OK', appended} | {'GAP'} (the log does not end at prev, nor beyond it) | {'FENCED', term}

local function above(a, b)
  local at, an = string.match(a, '(%d+)-(%d+)')
  local bt, bn = string.match(b, '(%d+)-(%d+)')
  -- 64-bit numbers do not fit a Lua number: compare them as text, by length first
  if at ~= bt then
    if #at ~= #bt then return #at > #bt end
    return at > bt
  end
  return tonumber(an) > tonumber(bn)
end

local term, epoch, prev, maxlen, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local head = redis.call('HMGET', KEYS[1], 'term', 'epoch', 'position', 'floor')

if tonumber(head[1] or '0') > tonumber(term) then return {'FENCED', head[1]} end
if head[2] ~= epoch then return {'GAP'} end

-- The log itself is the judge of what it holds: the head may have outlived it, or the other way round.
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
  redis.call('HSET', KEYS[1], 'term', term, 'alive', redis.call('TIME')[1])
  return {'OK', 0}
end

local events, images = {}, {}
local previous = top
for i = first, count do
  local at = 3 + i * 3
  -- Each entry names the one before it, so that a reader sees a hole whoever made it.
  redis.call('XADD', KEYS[2], ARGV[at], 'e', ARGV[at + 1], 'b', ARGV[at + 2], 'p', previous)
  previous = ARGV[at]
  events[#events + 1] = ARGV[at + 1]
  images[#images + 1] = ARGV[at + 2]
end
local position = ARGV[3 + count * 3]
redis.call('HSET', KEYS[1], 'term', term, 'position', position, 'token', token)
if maxlen ~= '' then
  redis.call('HSET', KEYS[1], 'alive', redis.call('TIME')[1])
  if redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', maxlen) > 0 then
    local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    redis.call('HSET', KEYS[1], 'floor', oldest[2][6])
  end
end
redis.call('PUBLISH', KEYS[3], '{"epoch":"' .. epoch .. '","prev":"' .. top .. '","events":[' .. table.concat(events, ',')
  .. '],"images":[' .. table.concat(images, ',') .. ']}')
return {'OK', #events}
