-- The latest heartbeat of a store: keeps the one with the greater number.
-- KEYS[1]: hash of number and at (milliseconds since the epoch); ARGV[1]: the same as a JSON object. Answers "null".
local told = cjson.decode(ARGV[1])
local known = tonumber(redis.call('HGET', KEYS[1], 'number'))
if not known or told.number > known then
  redis.call('HSET', KEYS[1], 'number', string.format('%d', told.number), 'at', string.format('%d', told.at))
end
return 'null'
