-- Take one submission of a key's quota, or give one back. KEYS: quota of the key, a hash of `began` and `used`.
-- ARGV: submissions in a window, seconds of a window, 1 to take and -1 to give back.
-- The window begins with the first submission. Returns {1 if it was granted, submissions that are left, seconds until the
-- window ends}.
local limit, window, change = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local broker_time = redis.call('TIME')
local now = broker_time[1] + broker_time[2] / 1000000
local began, used = unpack(redis.call('HMGET', KEYS[1], 'began', 'used'))
began, used = tonumber(began or now), tonumber(used or 0)
if now - began >= window or now < began then began, used = now, 0 end
local seconds_left = math.ceil(began + window - now)
if change > 0 and used >= limit then return {0, 0, seconds_left} end
used = math.max(0, used + change)
redis.call('HSET', KEYS[1], 'began', string.format('%.6f', began), 'used', used)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {1, math.max(0, limit - used), seconds_left}
