-- Queue a message unless it waits or has ended. KEYS: queue, messages, done, counts of an endpoint.
-- ARGV: id, message as JSON, seconds until its first attempt, messages that may wait.
-- Returns 1 if it is queued, 0 if it is known, -1 if too many wait: it counts as given up.
local queue, messages, done, counts = unpack(KEYS)
if redis.call('HEXISTS', messages, ARGV[1]) == 1 or redis.call('ZSCORE', done, ARGV[1]) then return 0 end
local broker_time = redis.call('TIME')
local now = tonumber(broker_time[1]) + tonumber(broker_time[2]) / 1000000
if redis.call('ZCOUNT', queue, '-inf', '+inf') >= tonumber(ARGV[4]) then
  redis.call('ZADD', done, string.format('%.6f', now), ARGV[1])
  redis.call('HINCRBY', counts, 'given_up', 1)
  redis.call('HSET', counts, 'error', 'Too many messages wait.', 'error_at', string.format('%.6f', now))
  return -1
end
redis.call('HSET', messages, ARGV[1], ARGV[2])
redis.call('ZADD', queue, string.format('%.6f', now + ARGV[3]), ARGV[1])
return 1
