-- Restore the record of an ended job in a broker that was wiped. KEYS: job.
-- ARGV: state, job as JSON ("" for none), "1" if its dream is not visible, seconds until the record expires.
-- Returns 1 if it was restored, 0 if the broker knows the job.
if redis.call('HEXISTS', KEYS[1], 'state') == 1 then return 0 end
local broker_time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'at', broker_time[1] .. '.0', 'reason', '')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'job', ARGV[2]) end
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'held', '1') else redis.call('EXPIRE', KEYS[1], ARGV[4]) end
return 1
