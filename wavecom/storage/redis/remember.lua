-- Keep several values, each under its key, for so many seconds.
--
-- KEYS: one for each value. ARGV[1]: JSON {keep, values}. Answers how many.
local ask = cjson.decode(ARGV[1])
for i, value in ipairs(ask.values) do
  redis.call('SET', KEYS[i], value, 'EX', ask.keep)
end
return cjson.encode(#ask.values)
