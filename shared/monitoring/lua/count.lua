-- Count one event, once. KEYS: usage counts, mark of the event, record of the job that it belongs to, if it does. ARGV: its
-- name, seconds since it happened, seconds for which the same event is not counted again, what happened to the dream.
-- Returns 1, or 0 if it was counted before. In a comparison a dream counts once, however often it is saved.
if not redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[3]) then return 0 end
local broker_time = redis.call('TIME')
local now = broker_time[1] + broker_time[2] / 1000000 - ARGV[2]
count_event(KEYS[1], now, ARGV[1])
local compared_as = KEYS[3] and redis.call('HGET', KEYS[3], 'compared_as')
if compared_as and redis.call('HSETNX', KEYS[3], 'compared_' .. ARGV[4], '1') == 1 then
  count_compared(KEYS[1], now, compared_as, ARGV[4])
end
return 1
