-- Add persisted counts to those of a broker that was wiped, once. KEYS: usage counts. ARGV: the field that marks them as
-- restored, then field and number in turn. Returns 1, or 0 if they were restored before.
if redis.call('HSETNX', KEYS[1], ARGV[1], '1') == 0 then return 0 end
for index = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[index], ARGV[index + 1]) end
return 1
