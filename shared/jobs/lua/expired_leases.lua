-- Return ids of jobs whose lease has expired, the longest expired first, 500 at most.
-- KEYS: leases, last sweep. ARGV: seconds without a sweep that count as an outage, seconds of grace after one.
-- While the broker is stopped or cut off nobody sweeps, and no worker can renew; so workers get time to renew first.
local broker_time = redis.call('TIME')
local now = broker_time[1] + broker_time[2] / 1000000
local last_sweep, grace_until = unpack(redis.call('HMGET', KEYS[2], 'at', 'patience'))
redis.call('HSET', KEYS[2], 'at', string.format('%.6f', now))
if not last_sweep or now - last_sweep > tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'patience', string.format('%.6f', now + ARGV[2]))
  return {}
end
if grace_until and now < tonumber(grace_until) then return {} end
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.6f', now), 'BYSCORE', 'LIMIT', 0, 500)
