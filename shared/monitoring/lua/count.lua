-- Count one event, once. KEYS: usage counts, mark of the event. ARGV: its name, seconds since it happened, seconds for
-- which the same event is not counted again. Returns 1, or 0 if it was counted before.
if not redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[3]) then return 0 end
local broker_time = redis.call('TIME')
count_event(KEYS[1], broker_time[1] + broker_time[2] / 1000000 - ARGV[2], ARGV[1])
return 1
