-- What scripts that count have in common: it is put before each of them.

-- Count one event in the hour in which `now` lies, in epoch seconds. name: the kind of event and its labels.
local function count_event(counts_key, now, name)
  redis.call('HINCRBY', counts_key, string.format('%d|%s', math.floor(now / 3600), name), 1)
end

-- Count what became of a job that counts in a comparison, or of its dream. compared_as: name and arm, or nil.
local function count_compared(counts_key, now, compared_as, what)
  if compared_as then count_event(counts_key, now, string.format('compared|%s-%s', compared_as, what)) end
end

-- Count a job that has ended in a comparison. Bucket b holds dreams of more than 2^((b-1)/8) ms and at most 2^(b/8) ms.
local function count_end_compared(counts_key, now, compared_as, what, milliseconds)
  if not compared_as or what == 'deleted' then return end
  count_compared(counts_key, now, compared_as, what)
  if what == 'completed' and milliseconds then
    local bucket = math.ceil(8 * math.log(math.max(milliseconds, 1)) / math.log(2))
    count_event(counts_key, now, string.format('dreamt|%s-%d', compared_as, math.min(bucket, 240)))
  end
end

-- Count a waiting time. Bucket b holds those of more than 2^((b-1)/8) s and at most 2^(b/8) s; bucket 0 also shorter
-- ones, the last also longer ones.
local function count_wait(counts_key, now, origin, seconds)
  local bucket = math.ceil(8 * math.log(math.max(seconds, 1)) / math.log(2))
  count_event(counts_key, now, string.format('waited|%s|%d', origin, math.min(bucket, 136)))
end
