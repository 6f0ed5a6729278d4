-- Apply one transition of a job atomically: check its state, write the new one, append one event, update the indexes.
-- All times are the broker's own, so the clocks of workers and producers do not matter.
--
-- KEYS: job, event stream, unfinished jobs by submitter, runtime settings, unclaimed jobs, leases, leftovers, usage counts;
-- with a message, the lists of its lane: the first is that of a submitter's first unfinished job, the last that of the rest
-- ARGV: 1 the request, as JSON; 2 the event, as JSON, "" for none; with a message: 3 and 4 its text before and after the
-- number of its priority, 5 the event of a queued job, as JSON
-- The request always has:
--   id, allowed_from (states that the job may be in, "" for an unknown job), stream_length, lease_seconds,
--   ended_ttl_seconds, default_approval (used while the runtime settings have none)
-- and, where needed:
--   new_state            without it the state stays, and the lease is renewed
--   token                fencing token of the worker's claim; it must be the latest
--   previous_holder      a started job may be taken only if its lease has expired or it is held by this dead worker
--   min_age_seconds      seconds since the last transition, at least
--   max_attempts         a job that was started as often is not started again
--   first_priority       priority of the first list; an accepted job is queued in the same step
--   do_not_count         do not count the attempt: its worker released the job in good order
--   count_hand_back      count that the job was handed back because of an error
--   hold                 the dream needs approval, whatever the runtime settings say
--   require_initialized  refuse while the runtime settings are not initialised
--   counted_as           origin and recipe, by which what becomes of an accepted job is counted
--   compared_as          name and arm of the comparison that an accepted job counts in
--   replaced             a job was completed with the current version of its recipe instead of the candidate
--   dream_milliseconds   that a completed dream took, queue and uploads not counted
--   counted_before       the acceptance was counted by a broker that has lost it
--   arrived_seconds_ago  since the photo of an accepted job arrived
--   holder, job, submitter, reason
--
-- Returns {outcome, token, seconds since the last transition, 1 if the dream is not visible, previous holder, how often
-- the job was handed back, the number of this attempt}. The outcome is "moved", "queued" (accepted before, and queued
-- now), or why nothing changed:
-- "illegal" (state, token or age), "held" (claimed by a live worker), "worn" (max_attempts reached), "unsettled" (runtime
-- settings not initialised).
local request, event_json = cjson.decode(ARGV[1]), ARGV[2]
local job_key, stream_key, unfinished_key, runtime_settings_key, unclaimed_key, leases_key, leftovers_key, counts_key =
  unpack(KEYS)
local state, token, state_since, held, attempts, holder, hand_backs, counted_as, arrived_at, compared_as = unpack(redis.call(
  'HMGET', job_key, 'state', 'token', 'at', 'held', 'tries', 'holder', 'hand_backs', 'counted_as', 'arrived',
  'compared_as'))
state, token, attempts, holder = state or '', token or '0', tonumber(attempts or '0'), holder or ''
local broker_time = redis.call('TIME')
local now = broker_time[1] + broker_time[2] / 1000000
local seconds_since_transition = now - (state_since or now)

local function result(outcome)
  local hidden = held == '1' and 1 or 0
  return {
    outcome, tonumber(token), tostring(seconds_since_transition), hidden, holder, tonumber(hand_backs or '0'), attempts,
  }
end

local function append_event(json)
  local fields = {'event', json}
  if held == '1' then fields = {'event', json, 'held', '1'} end
  redis.call('XADD', stream_key, 'MAXLEN', '~', request.stream_length, '*', unpack(fields))
end

-- While each dream needs approval, the job and its event are marked in the same step, so that no picture of it is seen
-- once approval has been switched on.
local function hold_if_required()
  local approval_required = redis.call('HGET', runtime_settings_key, 'approval') or request.default_approval
  if (approval_required == 'true' or request.hold) and not held then
    redis.call('HSET', job_key, 'held', '1')
    held = '1'
  end
end

-- Put the message of an accepted job into the list of its priority, which falls with its submitter's unfinished jobs.
local function enqueue()
  local unfinished = tonumber(redis.call('HGET', unfinished_key, request.submitter) or '1')
  local position = math.max(1, math.min(unfinished, #KEYS - 8))
  local priority = string.format('%d', request.first_priority + position - 1)
  redis.call('LPUSH', KEYS[8 + position], ARGV[3] .. priority .. ARGV[4])
  redis.call('HSET', job_key, 'state', 'queued')
  append_event(ARGV[5])
end

if request.require_initialized and redis.call('HEXISTS', runtime_settings_key, 'settled') == 0 then
  return result('unsettled')
end
local allowed = false
for _, allowed_state in ipairs(request.allowed_from) do allowed = allowed or allowed_state == state end
if request.first_priority and state == 'accepted' then
  redis.call('HSET', job_key, 'at', string.format('%.6f', now))
  redis.call('ZADD', unclaimed_key, string.format('%.6f', now), request.id)
  hold_if_required()
  enqueue()
  return result('queued')
end
if request.token and request.token == tonumber(token) and request.new_state == state and state ~= 'started' then
  return result('moved')  -- the worker did not get the reply, and repeats its request
end
if request.new_state == 'started' and state == 'started' and request.holder == holder then
  local lease_expires_at = redis.call('ZSCORE', leases_key, request.id)
  if lease_expires_at and tonumber(lease_expires_at) > now then return result('moved') end  -- likewise
end
if not allowed or (request.token and request.token ~= tonumber(token)) then return result('illegal') end
if request.min_age_seconds and seconds_since_transition < request.min_age_seconds then return result('illegal') end
if request.previous_holder and state == 'started' and request.previous_holder ~= holder then
  local lease_expires_at = redis.call('ZSCORE', leases_key, request.id)
  if lease_expires_at and tonumber(lease_expires_at) > now then return result('held') end
end
if request.max_attempts and attempts >= request.max_attempts then return result('worn') end

local new_state = request.new_state or state
local is_final = new_state == 'completed' or new_state == 'failed' or new_state == 'cancelled' or new_state == 'deleted'
if request.job then redis.call('HSET', job_key, 'job', request.job) end
if request.new_state then
  redis.call('HSET', job_key, 'state', new_state, 'at', string.format('%.6f', now), 'reason', request.reason or '')
  redis.call('HDEL', job_key, 'holder')
end
if request.new_state == 'started' then
  -- At least the time in microseconds: a broker that was wiped, or lost its last writes, must not grant a token again.
  local microseconds = broker_time[1] * 1000000 + broker_time[2]
  token = string.format('%d', math.max(token + 1, microseconds))
  redis.call('HSET', job_key, 'token', token)
  attempts = redis.call('HINCRBY', job_key, 'tries', 1)
  redis.call('HSET', job_key, 'holder', request.holder)
end
if request.do_not_count then redis.call('HINCRBY', job_key, 'tries', -1) end
if request.count_hand_back then redis.call('HINCRBY', job_key, 'hand_backs', 1) end
if new_state == 'started' then
  redis.call('ZADD', leases_key, string.format('%.6f', now + request.lease_seconds), request.id)
  redis.call('ZREM', unclaimed_key, request.id)
elseif is_final then
  redis.call('ZREM', leases_key, request.id)
  redis.call('ZREM', unclaimed_key, request.id)
elseif request.new_state then
  redis.call('ZREM', leases_key, request.id)
  redis.call('ZADD', unclaimed_key, string.format('%.6f', now), request.id)
end

if (new_state == 'failed' or new_state == 'cancelled') and token ~= '0' then
  redis.call('SADD', leftovers_key, request.id)
elseif request.job or new_state == 'deleted' then
  redis.call('SREM', leftovers_key, request.id)
end

if request.job then
  redis.call('HSET', job_key, 'submitter', request.submitter, 'tries', 0, 'hand_backs', 0)
  redis.call('PERSIST', job_key)
  redis.call('HINCRBY', unfinished_key, request.submitter, 1)
elseif is_final then
  local submitter = redis.call('HGET', job_key, 'submitter')
  if submitter and redis.call('HINCRBY', unfinished_key, submitter, -1) <= 0 then
    redis.call('HDEL', unfinished_key, submitter)
  end
  redis.call('HDEL', job_key, 'submitter')
end
if new_state == 'deleted' then redis.call('HDEL', job_key, 'job', 'held', 'compared_as') end

if new_state ~= 'deleted' then hold_if_required() end
-- The record of a dream that is not visible stays until somebody decides; without a dream there is nothing to decide.
if is_final and request.new_state and (held ~= '1' or new_state ~= 'completed') then
  redis.call('EXPIRE', job_key, request.ended_ttl_seconds)
end

if request.counted_as then
  local arrived = request.arrived_seconds_ago and string.format('%.6f', now - request.arrived_seconds_ago) or ''
  redis.call('HSET', job_key, 'counted_as', request.counted_as, 'arrived', arrived)
  if request.compared_as then redis.call('HSET', job_key, 'compared_as', request.compared_as) end
  if state == '' and not request.counted_before then
    count_event(counts_key, now, 'accepted|' .. request.counted_as)
    count_compared(counts_key, now, request.compared_as, 'photos')
  end
elseif is_final and request.new_state and counted_as then
  local is_shown = new_state == 'completed' and held ~= '1'
  if new_state ~= 'deleted' then count_event(counts_key, now, new_state .. '|' .. counted_as) end
  count_end_compared(counts_key, now, compared_as, request.replaced and 'replaced' or new_state, request.dream_milliseconds)
  -- What its guest takes home is not the candidate's.
  if request.replaced then redis.call('HDEL', job_key, 'compared_as') end
  if is_shown and arrived_at ~= '' then
    count_wait(counts_key, now, string.match(counted_as, '^[^|]*'), now - arrived_at)
  end
  -- The guest of a dream that is held waits until it is shown.
  if is_shown or new_state ~= 'completed' then redis.call('HDEL', job_key, 'counted_as', 'arrived') end
end

if event_json ~= '' then append_event(event_json) end
if request.first_priority then enqueue() end
return result('moved')
