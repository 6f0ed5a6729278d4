-- Hold a dream back, or let it be seen. KEYS: job, event stream.
-- ARGV: event, "1" where it is held back, length of the stream, seconds that an ended job is remembered. Answers whether.
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
