-- Take or renew the lease of the agent that prints. KEYS: lease. ARGV: holder, milliseconds for which it is valid.
-- Returns 1 if the holder has it, 0 if another one does.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
