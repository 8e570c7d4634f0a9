-- For each of several requests, in order: was it answered before, and if not, is there room for it under its key's
-- limits? All or nothing: what is refused by one limit is not counted by the other.
--
-- KEYS: three for each request: the tap of its key (a time: when all that came would be paid off at the key's rate),
-- the key's count of the day (hash: day, used), and the answer that it may have got.
-- ARGV[1]: JSON list of {cost, looks, interval, burst, quota}, the last three absent without that limit.
-- Answers a JSON list of {known} or {refused, wait, rate_left, rate_reset, quota_left, quota_reset}. Times are seconds by
-- this server's own clock; what goes out are durations.
local DAY_SECONDS = 86400
local asks = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local day = math.floor(now / DAY_SECONDS)
local until_tomorrow = (day + 1) * DAY_SECONDS - now
local replies = {}

local function judge(ask, rate_key, quota_key)
  local reply = {}
  local paid_off, used = now, 0
  if ask.interval then
    -- Should this clock be set back, nobody waits longer than for a full burst and the request that went beyond it.
    local known = tonumber(redis.call('GET', rate_key)) or now
    paid_off = math.max(now, math.min(known, now + ask.interval * math.max(ask.burst, 1000) * 2))
    -- What is larger than a burst needs a full one, and is paid off afterwards.
    local wait = (paid_off - now) - (ask.burst - math.min(ask.cost, ask.burst)) * ask.interval
    if wait > 0.0000005 then
      reply.refused, reply.wait = 'rate', wait
    end
  end
  if ask.quota then
    local count = redis.call('HMGET', quota_key, 'day', 'used')
    used = tonumber(count[1]) == day and tonumber(count[2]) or 0
    if used + ask.cost > ask.quota then
      reply.refused, reply.wait = 'daily', until_tomorrow
    end
  end
  local cost = reply.refused and 0 or ask.cost
  if ask.interval then
    paid_off = paid_off + cost * ask.interval
    if cost > 0 then
      redis.call('SET', rate_key, string.format('%.6f', paid_off), 'EX', math.ceil(paid_off - now) + 1)
    end
    reply.rate_left = math.max(0, math.floor(ask.burst - (paid_off - now) / ask.interval + 0.0000005))
    reply.rate_reset = paid_off - now
  end
  if ask.quota then
    used = used + cost
    if cost > 0 then
      redis.call('HSET', quota_key, 'day', day, 'used', string.format('%d', used))
      redis.call('EXPIRE', quota_key, math.ceil(until_tomorrow) + 60)
    end
    reply.quota_left = math.max(0, ask.quota - used)
    reply.quota_reset = until_tomorrow
  end
  return reply
end

for i, ask in ipairs(asks) do
  local known = ask.looks and redis.call('GET', KEYS[3 * i])
  replies[i] = known and {known = known} or judge(ask, KEYS[3 * i - 2], KEYS[3 * i - 1])
end
return cjson.encode(replies)
