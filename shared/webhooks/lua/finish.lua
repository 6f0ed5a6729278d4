-- Record the outcome of an attempt. KEYS: queue, messages, done, counts of an endpoint.
-- ARGV: id, number of the claim, outcome, seconds until the next attempt, error, finished messages that are kept.
-- Returns 1 if it is recorded, 0 if another deliverer has claimed the message since. A delivery counts in any case.
local queue, messages, done, counts = unpack(KEYS)
local id, outcome = ARGV[1], ARGV[3]
local text = redis.call('HGET', messages, id)
if not text then return 0 end
local message = cjson.decode(text)
if outcome ~= 'delivered' and message.claims ~= tonumber(ARGV[2]) then return 0 end
local broker_time = redis.call('TIME')
local now = tonumber(broker_time[1]) + tonumber(broker_time[2]) / 1000000
if ARGV[5] ~= '' then redis.call('HSET', counts, 'error', ARGV[5], 'error_at', string.format('%.6f', now)) end
if outcome == 'retry' then
  message.attempts = message.attempts + 1
  redis.call('HSET', messages, id, cjson.encode(message))
  redis.call('ZADD', queue, string.format('%.6f', now + ARGV[4]), id)
  return 1
end
redis.call('HDEL', messages, id)
redis.call('ZREM', queue, id)
if outcome == 'withdrawn' then return 1 end
redis.call('HINCRBY', counts, outcome, 1)
if outcome == 'delivered' then redis.call('HSET', counts, 'delivered_at', string.format('%.6f', now)) end
redis.call('ZADD', done, string.format('%.6f', now), id)
for _, old in ipairs(redis.call('ZRANGE', done, 0, -1 - ARGV[6])) do redis.call('ZREM', done, old) end
return 1
