-- What scripts that count have in common: it is put before each of them.

-- Count one event in the hour in which `now` lies, in epoch seconds. name: the kind of event and its labels.
local function count_event(counts_key, now, name)
  redis.call('HINCRBY', counts_key, string.format('%d|%s', math.floor(now / 3600), name), 1)
end

-- Count a waiting time. Bucket b holds those of more than 2^((b-1)/8) s and at most 2^(b/8) s; bucket 0 also shorter
-- ones, the last also longer ones.
local function count_wait(counts_key, now, origin, seconds)
  local bucket = math.ceil(8 * math.log(math.max(seconds, 1)) / math.log(2))
  count_event(counts_key, now, string.format('waited|%s|%d', origin, math.min(bucket, 136)))
end
