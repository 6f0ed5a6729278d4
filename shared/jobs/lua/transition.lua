-- One atomic step of a job: check what it is, change it, keep the time, append one event, count what is on its way.
-- All times are the broker's own, so clocks of workers and producers do not matter.
--
-- KEYS: job, event stream, jobs on their way by submitter, steering, jobs that nobody holds, jobs that somebody holds
-- ARGV: 1 what is asked, as JSON; 2 the event, "" for none
--   id, from (the states it may be in, "" for none), length (of the stream), approval (where the steering is silent)
-- and where they matter:
--   to        the new state; without it the state stays, and the hold is renewed
--   token     the step is a worker's, and its hold must be the last one
--   free      a started job must have been let go: its lease ran out, or this is its dead holder
--   idle      seconds since its last step, at least
--   lease     seconds for which a worker's hold lasts unless it is renewed
--   tries     a job that was started as often is not started again
--   reserve   an accepted job is to be queued by whoever asks, for so many seconds, unless somebody else is about to
--   spare     the try does not count: whoever held it gave it back in good order
--   holder, job, submitter, reason, keep (seconds that an ended job is remembered), settled (steering comes first)
--
-- Answers {word, token, seconds since the step before, held back from eyes, holder, the submitter's jobs on their way};
-- word is "moved", or why not: "illegal", "held" (by somebody who lives), "worn" (tried often enough), "unsettled",
-- "unqueued" (accepted before, and to be queued by whoever asks), "reserved" (so, but by somebody else).
local ask, event = cjson.decode(ARGV[1]), ARGV[2]
local job, stream, underway, steering, unheld, leases = unpack(KEYS)
local state, token, at, hidden, tries, holder =
  unpack(redis.call('HMGET', job, 'state', 'token', 'at', 'held', 'tries', 'holder'))
state, token, tries, holder = state or '', token or '0', tonumber(tries or '0'), holder or ''
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local since = now - (at or now)

local function answer(word)
  local count = ask.submitter and redis.call('HGET', underway, ask.submitter) or '0'
  return {word, tonumber(token), tostring(since), hidden == '1' and 1 or 0, holder, tonumber(count)}
end

if ask.settled and redis.call('HEXISTS', steering, 'settled') == 0 then return answer('unsettled') end
local legal = false
for _, from in ipairs(ask.from) do legal = legal or from == state end
if ask.reserve and (legal or state == 'accepted') then
  local last = redis.call('HGET', job, 'reserved')
  if not legal and last and tonumber(last) + ask.reserve > now then return answer('reserved') end
  redis.call('HSET', job, 'reserved', string.format('%.6f', now))
  if not legal then return answer('unqueued') end
end
if not legal or (ask.token and ask.token ~= tonumber(token)) then return answer('illegal') end
if ask.idle and since < ask.idle then return answer('illegal') end
if ask.free and state == 'started' and ask.free ~= holder then
  local ends = redis.call('ZSCORE', leases, ask.id)
  if ends and tonumber(ends) > now then return answer('held') end
end
if ask.tries and tries >= ask.tries then return answer('worn') end

local to = ask.to or state
local ended = to == 'completed' or to == 'failed' or to == 'cancelled' or to == 'deleted'
if ask.job then redis.call('HSET', job, 'job', ask.job) end
if ask.to then
  redis.call('HSET', job, 'state', to, 'at', string.format('%.6f', now), 'reason', ask.reason or '')
  redis.call('HDEL', job, 'holder')
  if to ~= 'accepted' then redis.call('HDEL', job, 'reserved') end
end
if ask.to == 'started' then
  token = redis.call('HINCRBY', job, 'token', 1)
  redis.call('HINCRBY', job, 'tries', 1)
  redis.call('HSET', job, 'holder', ask.holder)
end
if ask.spare then redis.call('HINCRBY', job, 'tries', -1) end
if to == 'started' then
  redis.call('ZADD', leases, string.format('%.6f', now + ask.lease), ask.id)
  redis.call('ZREM', unheld, ask.id)
elseif ended then
  redis.call('ZREM', leases, ask.id)
  redis.call('ZREM', unheld, ask.id)
elseif ask.to then
  redis.call('ZREM', leases, ask.id)
  redis.call('ZADD', unheld, string.format('%.6f', now), ask.id)
end

if ask.job then
  redis.call('HSET', job, 'submitter', ask.submitter, 'tries', 0)
  redis.call('PERSIST', job)
  redis.call('HINCRBY', underway, ask.submitter, 1)
elseif ended then
  local submitter = redis.call('HGET', job, 'submitter')
  if submitter and redis.call('HINCRBY', underway, submitter, -1) <= 0 then redis.call('HDEL', underway, submitter) end
  redis.call('HDEL', job, 'submitter')
end
if to == 'deleted' then redis.call('HDEL', job, 'job', 'held') end

-- Where the operator approves each dream, the job is marked, and so is its event: no picture of it can slip past a
-- switch that was turned before.
local approval = redis.call('HGET', steering, 'approval') or ask.approval
if approval == 'true' and not hidden and to ~= 'deleted' then
  redis.call('HSET', job, 'held', '1')
  hidden = '1'
end
-- What may not be seen is remembered until somebody decides.
if ended and ask.to and (hidden ~= '1' or to == 'deleted') then redis.call('EXPIRE', job, ask.keep) end
if event ~= '' then
  local entry = {'event', event}
  if hidden == '1' then entry = {'event', event, 'held', '1'} end
  redis.call('XADD', stream, 'MAXLEN', '~', ask.length, '*', unpack(entry))
end
return answer('moved')
