-- How far the workers have got in each queue: keeps the later of what is known and what is told.
-- KEYS[1]: hash queue -> milliseconds since the epoch; ARGV[1]: the same as a JSON object. Answers "null".
local told = cjson.decode(ARGV[1])
for queue, reached in pairs(told) do
  local known = tonumber(redis.call('HGET', KEYS[1], queue))
  if not known or reached > known then
    redis.call('HSET', KEYS[1], queue, string.format('%d', reached))
  end
end
redis.call('EXPIRE', KEYS[1], 86400)
return 'null'
