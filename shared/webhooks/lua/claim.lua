-- Claim the message that is due the longest, for one attempt. KEYS: queue, messages of an endpoint.
-- ARGV: seconds after which another deliverer may claim it. Returns id and message as JSON, or nothing.
local broker_time = redis.call('TIME')
local now = tonumber(broker_time[1]) + tonumber(broker_time[2]) / 1000000
local due = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.6f', now), 'BYSCORE', 'LIMIT', 0, 1)
if #due == 0 then return {} end
local text = redis.call('HGET', KEYS[2], due[1])
if not text then redis.call('ZREM', KEYS[1], due[1]) return {} end
local message = cjson.decode(text)
message.claims = message.claims + 1
text = cjson.encode(message)
redis.call('HSET', KEYS[2], due[1], text)
redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[1]), due[1])
return {due[1], text}
