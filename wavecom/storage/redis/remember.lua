-- Keep several values, each under its key, for so many seconds; of all that were ever kept only the last `most`, so
-- that they never take the memory that other data need.
--
-- KEYS: the list of all keys that hold a value, the oldest first; then one for each value.
-- ARGV[1]: JSON {keep, most, values}. Answers how many are kept.
local ask = cjson.decode(ARGV[1])
local order = KEYS[1]
for i, value in ipairs(ask.values) do
  if redis.call('SET', KEYS[i + 1], value, 'EX', ask.keep, 'NX') then
    redis.call('RPUSH', order, KEYS[i + 1])
  end
end
for _ = ask.most + 1, redis.call('LLEN', order) do
  redis.call('DEL', redis.call('LPOP', order))
end
redis.call('EXPIRE', order, ask.keep)
return cjson.encode(redis.call('LLEN', order))
