-- Restore a print in a broker that was wiped. KEYS: prints of the dream, queue, history, counts of the event.
-- ARGV: field, print id, print as JSON, seconds until it is forgotten. Returns 1, or 0 if the broker knows the print.
local prints_key, queue_key, history_key, counts_key = unpack(KEYS)
local field, id = ARGV[1], ARGV[2]
if redis.call('HSETNX', prints_key, field, ARGV[3]) == 0 then return 0 end
local record = cjson.decode(ARGV[3])
local state = record.state
if state == 'printed' or state == 'failed' or state == 'cancelled' then
  redis.call('ZADD', history_key, string.format('%.6f', record.changed_at), id)
else
  redis.call('ZADD', queue_key, string.format('%.6f', record.requested_at), id)
end
if state ~= 'failed' and state ~= 'cancelled' then
  redis.call('HINCRBY', counts_key, record.requester, 1)
  redis.call('HINCRBY', counts_key, 'all', 1)
end
if state == 'printed' then redis.call('HINCRBY', counts_key, 'printed', 1) end
redis.call('EXPIRE', prints_key, ARGV[4])
redis.call('EXPIRE', counts_key, ARGV[4])
return 1
