-- Change a print if it is in an allowed state, and keep queue, history and counts in step.
-- KEYS: prints of the dream, queue, history, counts of the event.
-- ARGV: field, print id, allowed states as JSON, changes as JSON, seconds until it is forgotten, length of the history.
-- Returns the changed print as JSON, "" if it is unknown or in another state.
local prints_key, queue_key, history_key, counts_key = unpack(KEYS)
local field, id, allowed, changes = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local function is_finished(state) return state == 'printed' or state == 'failed' or state == 'cancelled' end
-- What did not come out of the printer counts to no limit.
local function is_counted(state) return state ~= 'failed' and state ~= 'cancelled' end

local text = redis.call('HGET', prints_key, field)
if not text then return '' end
local record = cjson.decode(text)
local before, is_allowed = record.state, false
for _, state in ipairs(allowed) do is_allowed = is_allowed or state == before end
if not is_allowed then return '' end
local broker_time = redis.call('TIME')
local now = tonumber(broker_time[1]) + tonumber(broker_time[2]) / 1000000
for name, value in pairs(changes) do record[name] = value end
record.changed_at = now
local after = record.state
local encoded = cjson.encode(record)
redis.call('HSET', prints_key, field, encoded)
redis.call('EXPIRE', prints_key, ARGV[5])
if is_finished(after) then
  redis.call('ZREM', queue_key, id)
  redis.call('ZADD', history_key, string.format('%.6f', now), id)
  for _, old in ipairs(redis.call('ZRANGE', history_key, 0, -1 - ARGV[6])) do redis.call('ZREM', history_key, old) end
elseif is_finished(before) then
  redis.call('ZREM', history_key, id)
  redis.call('ZADD', queue_key, string.format('%.6f', now), id)
end
local difference = (is_counted(after) and 1 or 0) - (is_counted(before) and 1 or 0)
if difference ~= 0 then
  redis.call('HINCRBY', counts_key, record.requester, difference)
  redis.call('HINCRBY', counts_key, 'all', difference)
end
if after == 'printed' and before ~= 'printed' then redis.call('HINCRBY', counts_key, 'printed', 1) end
return encoded
