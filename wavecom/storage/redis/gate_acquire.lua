-- May one provider be called? All or nothing: what is refused has consumed nothing.
--
-- KEYS    the provider's hash, its probes
-- asks    {breaker: settings, cells: {lane: {interval, capacity, memory}} or null, lane, cost, ahead, probe,
--         probes_taken_seconds, slow_start_seconds}
--         `cost` permits, and up to `ahead` more if they are there; `probe` names the probe this call would be
-- answers {granted, is_probe, view} or {reason, retry_after, view}
--
-- include: gate_common

local ask = cjson.decode(ARGV[1])
local provider = load_provider(KEYS[1], KEYS[2], ask.breaker)
local fields = provider.fields
local has_limit = ask.cells ~= cjson.null

local function refuse(reason, retry_after)
  if #provider.changes > 0 then
    save_provider(provider)
  end
  return cjson.encode({reason = reason, retry_after = retry_after, view = view(provider)})
end

-- GCRA (ITU-T I.371), as wavecom/routing/ratelimit.py: a cell holds `capacity` permits, one leaks out per `interval`.
local function room(lane)
  local cell = ask.cells[lane]
  return cell.capacity - (empty_at(provider, lane, cell, 0) - now) / cell.interval
end

-- Of a permit: numbers this size with a fraction are never exact.
local ALMOST = 0.000001

wake(provider)
if fields.throttled_until > now then
  return refuse('throttled', fields.throttled_until - now)
end
if fields.state == 'open' then
  return refuse('breaker_open', fields.open_until - now)
end
local is_probe = fields.state == 'half_open'
if is_probe then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now))
  if redis.call('ZCARD', KEYS[2]) >= ask.breaker.max_probes then
    return refuse('probes_taken', ask.probes_taken_seconds)
  end
end
local is_slow_start = not is_probe and is_ramping(provider)
local granted = ask.cost
if has_limit then
  -- Every permit counts in every cell; the lane's own and the one of high, which is the provider's limit, must have room.
  local wait = 0
  for _, lane in ipairs({ask.lane, 'high'}) do
    wait = math.max(wait, (1 - ALMOST - room(lane)) * ask.cells[lane].interval)
  end
  if wait > 0 then
    return refuse('rate_limit', wait)
  end
end
if is_slow_start and not take_ramp(provider) then
  return refuse('slow_start', ask.slow_start_seconds)
end
if has_limit then
  charge(provider, ask.cells, ask.cost)
  if not is_probe and not is_slow_start then
    local ahead = math.min(ask.ahead, math.floor(math.min(room(ask.lane), room('high')) + ALMOST))
    if ahead > 0 then
      charge(provider, ask.cells, ahead)
      granted = granted + ahead
    end
  end
end
if is_probe then
  redis.call('ZADD', KEYS[2], string.format('%.6f', now + ask.breaker.probe_lease_seconds), ask.probe)
  redis.call('EXPIRE', KEYS[2], KEEP_SECONDS)
end
if has_limit or is_slow_start or #provider.changes > 0 then
  save_provider(provider)
end
return cjson.encode({granted = granted, is_probe = is_probe, view = view(provider)})
