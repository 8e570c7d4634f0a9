-- For each of several requests, in order: was it answered before, and if not, is there room for it under the limits of
-- its budget? All or nothing: what is refused by one limit is not counted by the other. The same rules as
-- core/local_quota.py.
--
-- KEYS, for each request: the budget's rate (a time: when all that came would be paid off), its count of the day (hash:
-- day, used), then its stored answer if it looks for one, then the mark of each of its names.
-- ARGV[1]: JSON {keep, requests}: for how many seconds names are marked as counted; a list of {cost, refused, names (how
-- many), looks, interval, burst, quota}, the last three absent without that limit.
-- Answers a JSON list of {known} or {charged, day, refused, wait, rate_left, rate_reset, quota_left, quota_reset}. Times are
-- seconds by this server's own clock; what goes out are durations.
local DAY_SECONDS = 86400
local ask = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local day = math.floor(now / DAY_SECONDS)
local until_tomorrow = (day + 1) * DAY_SECONDS - now
local replies = {}

local function judge(request, rate_key, quota_key, fresh)
  local cost = request.cost + #fresh
  local rate_cost = cost + request.refused
  local reply = {charged = cost, day = day}
  local paid_off, used = now, 0
  if request.interval then
    -- Should this clock be set back, nobody waits longer than for a full burst and the request that went beyond it.
    local known = tonumber(redis.call('GET', rate_key)) or now
    paid_off = math.max(now, math.min(known, now + request.interval * math.max(request.burst, 1000) * 2))
    -- What is larger than a burst needs a full one, and is paid off afterwards.
    local wait = (paid_off - now) - (request.burst - math.min(rate_cost, request.burst)) * request.interval
    if rate_cost > 0 and wait > 0.0000005 then
      reply.refused, reply.wait = 'rate', wait
    end
  end
  if request.quota then
    local count = redis.call('HMGET', quota_key, 'day', 'used')
    used = tonumber(count[1]) == day and tonumber(count[2]) or 0
    if cost > 0 and used + cost > request.quota then
      reply.refused, reply.wait = 'daily', until_tomorrow
    end
  end
  if reply.refused then
    cost, rate_cost, reply.charged, fresh = 0, 0, 0, {}
  end
  if request.interval then
    paid_off = paid_off + rate_cost * request.interval
    if rate_cost > 0 then
      redis.call('SET', rate_key, string.format('%.6f', paid_off), 'EX', math.ceil(paid_off - now) + 1)
    end
    reply.rate_left = math.max(0, math.floor(request.burst - (paid_off - now) / request.interval + 0.0000005))
    reply.rate_reset = paid_off - now
  end
  if request.quota then
    used = used + cost
    if cost > 0 then
      redis.call('HSET', quota_key, 'day', day, 'used', string.format('%d', used))
      redis.call('EXPIRE', quota_key, math.ceil(until_tomorrow) + 60)
    end
    reply.quota_left = math.max(0, request.quota - used)
    reply.quota_reset = until_tomorrow
  end
  for _, name in ipairs(fresh) do
    redis.call('SET', name, '1', 'EX', ask.keep)
  end
  return reply
end

local at = 1
for i, request in ipairs(ask.requests) do
  local rate_key, quota_key = KEYS[at], KEYS[at + 1]
  at = at + 2
  local known = false
  if request.looks then
    known = redis.call('GET', KEYS[at])
    at = at + 1
  end
  local fresh = {}
  if not known then
    for j = at, at + request.names - 1 do
      if redis.call('EXISTS', KEYS[j]) == 0 then
        fresh[#fresh + 1] = KEYS[j]
      end
    end
  end
  at = at + request.names
  replies[i] = known and {known = known} or judge(request, rate_key, quota_key, fresh)
end
return cjson.encode(replies)
