-- Tell a broker that lost its memory of a job that has ended. KEYS: job. ARGV: state, job as JSON ("" for none), "1"
-- where its dream may not be seen, seconds that it is remembered. Answers 1 where it knew nothing.
if redis.call('HEXISTS', KEYS[1], 'state') == 1 then return 0 end
local clock = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'at', clock[1] .. '.0', 'reason', '')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'job', ARGV[2]) end
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'held', '1') else redis.call('EXPIRE', KEYS[1], ARGV[4]) end
return 1
