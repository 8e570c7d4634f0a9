-- Change counts without asking: give back what turned out to be free, count in what one process decided alone.
--
-- KEYS: two for each change, the budget's rate and its count of the day, as in quota.lua.
-- ARGV[1]: JSON list of {count, interval, day}: notifications to add (below 0: to give back); interval absent without a
-- rate; the day on which they were counted, another day's quota is not changed.
-- Answers how many.
local DAY_SECONDS = 86400
local changes = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local day = math.floor(now / DAY_SECONDS)

for i, change in ipairs(changes) do
  local rate_key, quota_key = KEYS[2 * i - 1], KEYS[2 * i]
  if change.interval then
    local paid_off = math.max(now, tonumber(redis.call('GET', rate_key)) or now) + change.count * change.interval
    if paid_off > now then
      redis.call('SET', rate_key, string.format('%.6f', paid_off), 'EX', math.ceil(paid_off - now) + 1)
    else
      redis.call('DEL', rate_key)
    end
  end
  if change.day == day then
    local count = redis.call('HMGET', quota_key, 'day', 'used')
    local used = tonumber(count[1]) == day and tonumber(count[2]) or 0
    used = math.max(0, used + change.count)
    redis.call('HSET', quota_key, 'day', day, 'used', string.format('%d', used))
    redis.call('EXPIRE', quota_key, math.ceil((day + 1) * DAY_SECONDS - now) + 60)
  end
end
return cjson.encode(#changes)
