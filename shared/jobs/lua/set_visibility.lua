-- Hide a dream or show it, and append the event. KEYS: job, event stream, usage counts.
-- ARGV: event, "1" to hide, length of the stream, seconds until the record of an ended job expires.
-- Returns 1, or 0 for a deleted dream, which stays deleted.
local state, counted_as, arrived_at = unpack(redis.call('HMGET', KEYS[1], 'state', 'counted_as', 'arrived'))
if state == 'deleted' then return 0 end
redis.call('HSET', KEYS[1], 'held', ARGV[2])
if ARGV[2] == '1' and state ~= 'failed' and state ~= 'cancelled' then
  redis.call('PERSIST', KEYS[1])
elseif not state or state == 'completed' or state == 'failed' or state == 'cancelled' then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
if ARGV[2] == '0' and state == 'completed' and counted_as and arrived_at ~= '' then  -- its guest has waited until now
  local broker_time = redis.call('TIME')
  local now = broker_time[1] + broker_time[2] / 1000000
  count_wait(KEYS[3], now, string.match(counted_as, '^[^|]*'), now - arrived_at)
  redis.call('HDEL', KEYS[1], 'counted_as', 'arrived')
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'event', ARGV[1])
return 1
