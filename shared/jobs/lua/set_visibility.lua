-- Hide a dream or show it, and append the event. KEYS: job, event stream.
-- ARGV: event, "1" to hide, length of the stream, seconds until the record of an ended job expires.
-- Returns 1, or 0 for a deleted dream, which stays deleted.
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'deleted' then return 0 end
redis.call('HSET', KEYS[1], 'held', ARGV[2])
if ARGV[2] == '1' then
  redis.call('PERSIST', KEYS[1])
elseif not state or state == 'completed' or state == 'failed' or state == 'cancelled' then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'event', ARGV[1])
return 1
