-- The rules of a provider's breaker and tap, word for word as wavecom/routing/breaker.py has them for one process.
--
-- A provider has two keys: a hash with its state, and a sorted set of the probes that are out, scored by the end of
-- their leases. Times are seconds by the server's own clock, so that the workers' clocks don't matter; what goes out
-- are durations.

local KEEP_SECONDS = 86400
-- Should this server's clock be set back, nothing stays shut for longer than this because of it.
local LONGEST_SECONDS = 3600

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function load_provider(key, probes_key, settings)
  local provider = {
    state = 'closed', epoch = 0, open_until = 0, openings = 0, closed_at = 0, successes = 0, throttled_until = 0,
    window_start = 0, calls = 0, failures = 0, slow = 0, failures_in_a_row = 0,
    last_calls = 0, last_failures = 0, last_slow = 0,
  }
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    provider[fields[i]] = tonumber(fields[i + 1]) or fields[i + 1]
  end
  provider.open_until = math.min(provider.open_until, now + settings.open_cap_seconds)
  provider.throttled_until = math.min(provider.throttled_until, now + LONGEST_SECONDS)
  return {key = key, probes_key = probes_key, settings = settings, fields = provider, changes = {}}
end

local function save_provider(provider)
  local flat = {}
  for name, value in pairs(provider.fields) do
    flat[#flat + 1] = name
    -- Lua's own tostring keeps 14 digits, too few for a time of day.
    flat[#flat + 1] = type(value) == 'number' and string.format('%.17g', value) or value
  end
  redis.call('HSET', provider.key, unpack(flat))
  redis.call('EXPIRE', provider.key, KEEP_SECONDS)
end

local function enter(provider, state)
  local fields = provider.fields
  fields.state = state
  fields.epoch = fields.epoch + 1
  fields.successes = 0
  fields.calls, fields.failures, fields.slow, fields.failures_in_a_row = 0, 0, 0, 0
  fields.last_calls, fields.last_failures, fields.last_slow = 0, 0, 0
  redis.call('DEL', provider.probes_key)
  provider.changes[#provider.changes + 1] = state
end

local function open(provider)
  local fields, settings = provider.fields, provider.settings
  local is_soon = fields.state == 'half_open' or now - fields.closed_at < settings.open_cap_seconds
  fields.openings = is_soon and fields.openings + 1 or 1
  local pause = settings.open_seconds * 2 ^ math.min(fields.openings - 1, 32)
  fields.open_until = now + math.min(pause, settings.open_cap_seconds)
  enter(provider, 'open')
end

local function wake(provider)
  if provider.fields.state == 'open' and now >= provider.fields.open_until then
    enter(provider, 'half_open')
  end
end

local function roll(provider)
  local fields, window_seconds = provider.fields, provider.settings.window_seconds
  local age = now - fields.window_start
  if age >= 0 and age < window_seconds then
    return
  end
  local is_next = age >= 0 and age < 2 * window_seconds
  fields.last_calls = is_next and fields.calls or 0
  fields.last_failures = is_next and fields.failures or 0
  fields.last_slow = is_next and fields.slow or 0
  fields.window_start = is_next and fields.window_start + window_seconds or now
  -- A row of failures is not ended by the clock.
  fields.calls, fields.failures, fields.slow = 0, 0, 0
end

local function rates(provider)
  roll(provider)
  local fields = provider.fields
  local weight = 1 - (now - fields.window_start) / provider.settings.window_seconds
  return fields.calls + weight * fields.last_calls,
    fields.failures + weight * fields.last_failures,
    fields.slow + weight * fields.last_slow
end

local function is_too_bad(provider)
  local settings = provider.settings
  if provider.fields.failures_in_a_row >= settings.max_failures_in_a_row then
    return true
  end
  local calls, failures, slow = rates(provider)
  return calls >= settings.min_calls
    and (failures >= calls * settings.failure_rate or slow >= calls * settings.slow_rate)
end

local function report(provider, tally)
  local fields = provider.fields
  if tally.calls == 0 or fields.state ~= 'closed' or fields.epoch ~= tally.epoch then
    return
  end
  roll(provider)
  local before = tally.failures == tally.calls and fields.failures_in_a_row or 0
  fields.failures_in_a_row = before + tally.failures_in_a_row
  fields.calls = fields.calls + tally.calls
  fields.failures = fields.failures + tally.failures
  fields.slow = fields.slow + tally.slow
  if is_too_bad(provider) then
    open(provider)
  end
end

local function return_probe(provider, token, verdict)
  local fields = provider.fields
  local lease_until = tonumber(redis.call('ZSCORE', provider.probes_key, token) or 0)
  redis.call('ZREM', provider.probes_key, token)
  if lease_until <= now or fields.state ~= 'half_open' or verdict == 'unused' then
    return
  end
  if verdict ~= 'success' then
    return open(provider)
  end
  fields.successes = fields.successes + 1
  if fields.successes >= provider.settings.successes_to_close then
    fields.closed_at = now
    enter(provider, 'closed')
  end
end

local function throttle(provider, seconds)
  provider.fields.throttled_until = math.max(provider.fields.throttled_until, now + seconds)
end

-- When the lane's cell will have leaked empty once `cost` more permits are in it. It remembers no more than `memory`.
local function empty_at(provider, lane, cell, cost)
  local at = math.max(provider.fields['empty_at_' .. lane] or 0, now) + cost * cell.interval
  return math.min(at, now + cell.capacity * cell.interval + cell.memory)
end

-- Counts permits, which are used in any case, in every cell.
local function charge(provider, cells, cost)
  for lane, cell in pairs(cells) do
    provider.fields['empty_at_' .. lane] = empty_at(provider, lane, cell, cost)
  end
end

local function view(provider)
  local fields = provider.fields
  local calls, failures, slow = rates(provider)
  return {
    state = fields.state,
    epoch = fields.epoch,
    open_for = fields.state == 'open' and math.max(0, fields.open_until - now) or 0,
    throttled_for = math.max(0, fields.throttled_until - now),
    calls = calls,
    failures = failures,
    slow = slow,
    -- Who causes a change is told of it, and nobody else: so it is logged and counted once in the fleet.
    changes = #provider.changes > 0 and provider.changes or nil,
  }
end
