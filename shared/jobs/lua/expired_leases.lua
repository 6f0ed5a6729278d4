-- Name jobs whose holders let their leases run out. KEYS: jobs that somebody holds, a note of the last look.
-- ARGV: seconds without a look after which holders get time to renew first, and how long. Nobody looks while the broker
-- is stopped or cut off, and no holder can renew then either.
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local last, patience = unpack(redis.call('HMGET', KEYS[2], 'at', 'patience'))
redis.call('HSET', KEYS[2], 'at', string.format('%.6f', now))
if not last or now - last > tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'patience', string.format('%.6f', now + ARGV[2]))
  return {}
end
if patience and now < tonumber(patience) then return {} end
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.6f', now), 'BYSCORE', 'LIMIT', 0, 500)
