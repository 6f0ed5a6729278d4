-- Accept prints of a dream, all of them or none. Those that were accepted before are not changed.
-- KEYS: prints of the dream, queue, counts of the event, job, runtime settings.
-- ARGV: the request as JSON: job_id, requester, first (number of the first copy), copies, event, is_guest, is_limited,
-- prints_per_guest and prints_per_event (used while the runtime settings do not say), ttl_seconds.
-- Returns "accepted", "hidden" (the dream is not visible), "guest_limit" or "event_limit".
local request = cjson.decode(ARGV[1])
local prints_key, queue_key, counts_key, job_key, runtime_settings_key = unpack(KEYS)
local function count(field) return tonumber(redis.call('HGET', counts_key, field) or '0') end
local function limit(field) return tonumber(redis.call('HGET', runtime_settings_key, field) or request[field]) or 0 end

local state, held = unpack(redis.call('HMGET', job_key, 'state', 'held'))
if held == '1' or state == 'deleted' then return 'hidden' end
local new = {}
for number = request.first, request.first + request.copies - 1 do
  local field = request.requester .. '-' .. number
  if redis.call('HEXISTS', prints_key, field) == 0 then new[#new + 1] = {field, number} end
end
-- Limits are for new prints: the operator may have lowered them since the others were accepted.
if request.is_guest and #new > 0 and count(request.requester) + #new > limit('prints_per_guest') then
  return 'guest_limit'
end
local per_event = request.is_limited and limit('prints_per_event') or 0
if per_event > 0 and #new > 0 and count('all') + #new > per_event then
  return 'event_limit'
end
local broker_time = redis.call('TIME')
local now = tonumber(broker_time[1]) + tonumber(broker_time[2]) / 1000000
for order, print in ipairs(new) do
  local field, number = unpack(print)
  local record = {
    version = 1, job_id = request.job_id, requester = request.requester, number = number, state = 'requested',
    event = request.event, requested_at = now, changed_at = now,
  }
  redis.call('HSET', prints_key, field, cjson.encode(record))
  redis.call('ZADD', queue_key, string.format('%.6f', now + order / 1000000), request.job_id .. '-' .. field)
  redis.call('HINCRBY', counts_key, request.requester, 1)
  redis.call('HINCRBY', counts_key, 'all', 1)
end
redis.call('EXPIRE', prints_key, request.ttl_seconds)
redis.call('EXPIRE', counts_key, request.ttl_seconds)
return 'accepted'
