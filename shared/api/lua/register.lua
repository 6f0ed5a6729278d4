-- Register a job as one of a key, and under the name that its client has for it.
-- KEYS: name by the client, jobs of the key, jobs of all keys, description of the job, its refusal
-- ARGV: job id; what tells its content from others; description as JSON; seconds until all of it is forgotten; jobs that are
-- listed, at most; "1" if the client has a name for it
-- Returns {outcome, job id}: "registered"; or, if the name was given before, "known" for the same content and "conflict" for
-- another one, with the job that has it.
local name_key, own_key, all_key, description_key, refusal_key = unpack(KEYS)
local job_id, content, ttl = ARGV[1], ARGV[2], ARGV[4]
if ARGV[6] == '1' then
  local named = redis.call('GET', name_key)
  if named then
    local before = cjson.decode(named)
    return {before.content == content and 'known' or 'conflict', before.job_id}
  end
  redis.call('SET', name_key, cjson.encode({job_id = job_id, content = content}), 'EX', ttl)
end
local broker_time = redis.call('TIME')
local now = broker_time[1] + broker_time[2] / 1000000
for _, key in ipairs({own_key, all_key}) do
  if not redis.call('ZSCORE', key, job_id) then
    -- No two jobs have the same time, so that a page can begin after any of them.
    local newest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
    local at = math.max(now, newest and newest + 0.000002 or 0)
    redis.call('ZADD', key, string.format('%.6f', at), job_id)
  end
  local expired = redis.call('ZRANGE', key, '-inf', string.format('%.6f', now - ttl), 'BYSCORE', 'LIMIT', 0, 100)
  for _, old in ipairs(expired) do redis.call('ZREM', key, old) end
  for _, old in ipairs(redis.call('ZRANGE', key, 0, -1 - ARGV[5])) do redis.call('ZREM', key, old) end
  redis.call('EXPIRE', key, ttl)
end
redis.call('SET', description_key, ARGV[3], 'EX', ttl)
redis.call('DEL', refusal_key)  -- the file may be accepted this time
return {'registered', job_id}
