-- The rules of a provider's breaker, pause and slow start, word for word as wavecom/routing/{breaker,evidence,pause,ramp}.py
-- have them for one process.
--
-- A provider has two keys: a hash with its state, and a sorted set of the probes that are out, scored by the end of
-- their leases. Times are seconds by the server's own clock, so that the workers' clocks don't matter; what goes out
-- are durations.

local KEEP_SECONDS = 86400
-- As in evidence.py, breaker.py and ramp.py.
local MAX_RECIPIENTS = 16
local PROBES_TO_REOPEN = 2
local SUCCESSES_TO_END = 200
local AGAIN_SECONDS = 5

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

-- Lists are kept as JSON texts. cjson writes an empty one as {}, which reads as an empty one again.
local function list_of(text)
  return text == '' and {} or cjson.decode(text)
end

local function load_provider(key, probes_key, settings)
  local provider = {
    state = 'closed', epoch = 0, open_until = 0, opened_at = 0, openings = 0, closed_at = 0, successes = 0, failed_probes = '',
    reason = '', changed_at = 0, account = '',
    throttled_until = 0, throttled_at = 0, throttled_reason = '', longest_pause = 0, requests = '',
    untold = '', reopened_at = 0,
    ramp_starts_at = 0, ramp_granted = 0, ramp_successes = 0,
    window_start = 0, calls = 0, failures = 0, slow = 0, failures_in_a_row = 0, failed = '',
    last_calls = 0, last_failures = 0, last_slow = 0,
  }
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local value = fields[i + 1]
    provider[fields[i]] = type(provider[fields[i]]) == 'string' and value or tonumber(value) or value
  end
  -- Should this server's clock be set back, nothing stays shut for longer because of it.
  local longest = math.max(settings.open_cap_seconds, settings.account_open_seconds, settings.account_cap_seconds)
  provider.open_until = math.min(provider.open_until, now + longest)
  provider.throttled_until = math.min(provider.throttled_until, now + provider.longest_pause)
  provider.ramp_starts_at = math.min(provider.ramp_starts_at, now + provider.longest_pause)
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

-- Who causes a change is told of it, and nobody else: so it is logged and counted once in the fleet.
local function note_change(provider, kind, reason, seconds, is_repeated)
  provider.changes[#provider.changes + 1] =
    {kind = kind, reason = reason, seconds = seconds, is_repeated = is_repeated or false}
end

local function enter(provider, state, reason)
  local fields = provider.fields
  fields.state = state
  fields.epoch = fields.epoch + 1
  fields.reason = reason
  fields.changed_at = now
  fields.successes = 0
  fields.failed_probes = ''
  fields.calls, fields.failures, fields.slow, fields.failures_in_a_row, fields.failed = 0, 0, 0, 0, ''
  fields.last_calls, fields.last_failures, fields.last_slow = 0, 0, 0
  redis.call('DEL', provider.probes_key)
  -- Trouble of our account is told of once, until a provider takes calls again.
  local is_repeated = fields.account ~= '' and state ~= 'closed'
  if state == 'closed' then
    fields.account = ''
  end
  note_change(provider, state, reason, state == 'open' and fields.open_until - now or 0, is_repeated)
end

local function begin_ramp(provider, at)
  local fields = provider.fields
  fields.ramp_starts_at, fields.ramp_granted, fields.ramp_successes = at, 0, 0
end

local function is_ramping(provider)
  local fields, settings = provider.fields, provider.settings
  local is_running = fields.ramp_starts_at <= now and now < fields.ramp_starts_at + settings.ramp_seconds
  return is_running and settings.ramp_calls > 0 and fields.ramp_successes < SUCCESSES_TO_END
end

local function take_ramp(provider)
  local fields = provider.fields
  local calls = provider.settings.ramp_calls
  local allowed = calls * (1 + (now - fields.ramp_starts_at) / AGAIN_SECONDS) + 2 * fields.ramp_successes
  if fields.ramp_granted + 1 > allowed then
    return false
  end
  fields.ramp_granted = fields.ramp_granted + 1
  return true
end

local function open(provider, reason, account)
  local fields, settings = provider.fields, provider.settings
  if fields.state == 'closed' then
    local forgotten = math.min(fields.openings, (now - fields.closed_at) / settings.forget_seconds)
    fields.openings = fields.openings - math.floor(math.max(0, forgotten))
  end
  local first, cap = settings.open_seconds, settings.open_cap_seconds
  if account ~= '' then
    first = math.max(first, settings.account_open_seconds)
    cap = math.max(first, settings.account_cap_seconds)
  end
  local pause = first * 2 ^ math.min(fields.openings, 32)
  if pause < cap then
    fields.openings = fields.openings + 1
  end
  fields.open_until = now + math.min(pause, cap)
  fields.opened_at = now
  enter(provider, 'open', reason)
  if account ~= '' then
    fields.account = account
  end
end

local function wake(provider)
  local fields = provider.fields
  if fields.state == 'open' and now >= fields.open_until then
    enter(provider, 'half_open', 'its pause is over')
  end
  if fields.throttled_reason ~= '' and fields.throttled_until <= now then
    note_change(provider, 'unthrottled', fields.throttled_reason, 0)
    fields.throttled_reason = ''
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

-- Why it opens where the provider refuses our account.
local function reason_of_account(account, code)
  return string.format('the provider refuses our account: %s, %s', account, code)
end

-- Why the breaker must open, '' when it need not.
local function trouble(provider, code)
  local settings, row = provider.settings, provider.fields.failures_in_a_row
  if row >= settings.max_failures_in_a_row then
    return string.format('%d failures in a row, last %s', row, code)
  end
  local calls, failures, slow = rates(provider)
  if calls < settings.min_calls then
    return ''
  end
  if failures >= calls * settings.failure_rate then
    return string.format('%.0f of %.0f calls failed, last %s', failures, calls, code)
  end
  return slow >= calls * settings.slow_rate and string.format('%.0f of %.0f calls were slow', slow, calls) or ''
end

-- How many of the recipients in `tally` were counted before: within the window, and in the row that goes on.
local function count_repeats(provider, tally)
  local fields, counted = provider.fields, {}
  for _, each in ipairs(list_of(fields.failed)) do
    counted[#counted + 1] = {each[1], each[2], each[3] and tally.successes == 0}
  end
  local in_window, in_row = 0, 0
  for key, is_in_row in pairs(tally.recipients) do
    local at
    for i, each in ipairs(counted) do
      if each[1] == key then
        table.remove(counted, i)
        if each[2] > now - provider.settings.window_seconds then
          at = each[2]
          in_window = in_window + 1
        end
        if is_in_row and each[3] then
          in_row = in_row + 1
        end
        break
      end
    end
    counted[#counted + 1] = {key, at or now, is_in_row}
  end
  while #counted > MAX_RECIPIENTS do
    table.remove(counted, 1)
  end
  fields.failed = #counted > 0 and cjson.encode(counted) or ''
  return in_window, in_row
end

local function report(provider, tally)
  local fields = provider.fields
  local is_empty = tally.calls == 0 and tally.failures_in_a_row == 0
  if is_empty or fields.state ~= 'closed' or fields.epoch ~= tally.epoch then
    return
  end
  roll(provider)
  if is_ramping(provider) then
    fields.ramp_successes = fields.ramp_successes + tally.successes
  end
  local in_window, in_row = count_repeats(provider, tally)
  local before = tally.successes == 0 and fields.failures_in_a_row or 0
  fields.failures_in_a_row = before + tally.failures_in_a_row - in_row
  fields.calls = fields.calls + tally.calls - in_window
  fields.failures = fields.failures + tally.failures - in_window
  fields.slow = fields.slow + math.max(0, tally.slow - in_window)
  local reason = tally.account ~= '' and reason_of_account(tally.account, tally.code) or trouble(provider, tally.code)
  if reason ~= '' then
    open(provider, reason, tally.account)
  end
end

-- probe: {name, outcome, recipient, code, account}; outcome is 'success', 'failure' or 'unused'
local function return_probe(provider, probe)
  local fields = provider.fields
  local token, outcome, recipient, code, account = probe[1], probe[2], probe[3], probe[4], probe[5]
  local lease_until = tonumber(redis.call('ZSCORE', provider.probes_key, token) or 0)
  redis.call('ZREM', provider.probes_key, token)
  if lease_until <= now or fields.state ~= 'half_open' or outcome == 'unused' then
    return
  end
  if outcome ~= 'success' then
    local failed = list_of(fields.failed_probes)
    local is_known = false
    for _, each in ipairs(failed) do
      is_known = is_known or (recipient ~= '' and each == recipient)
    end
    if not is_known then
      failed[#failed + 1] = recipient
    end
    fields.failed_probes = cjson.encode(failed)
    if recipient == '*' or #failed >= PROBES_TO_REOPEN then
      local reason = account ~= '' and reason_of_account(account, code) or 'probes failed, last ' .. code
      open(provider, reason, account)
    end
    return
  end
  fields.successes = fields.successes + 1
  if fields.successes >= provider.settings.successes_to_close then
    fields.closed_at = now
    begin_ramp(provider, now)
    enter(provider, 'closed', string.format('%d probes succeeded', fields.successes))
  end
end

-- Leaves the provider alone for `seconds`. A pause is never cut short.
local function pause(provider, seconds, reason, cap_seconds)
  local fields = provider.fields
  seconds = math.min(seconds, cap_seconds)
  if fields.throttled_until <= now then
    fields.throttled_at = now
    fields.throttled_reason = reason
    fields.longest_pause = 0
    note_change(provider, 'throttled', reason, seconds)
  end
  fields.throttled_until = math.max(fields.throttled_until, now + seconds)
  fields.longest_pause = math.max(fields.longest_pause, seconds)
  begin_ramp(provider, fields.throttled_until)
end

-- requests: [{recipient, seconds, is_for_all, code}], those since the last call that was taken
local function request_pauses(provider, was_taken, requests)
  local fields, settings = provider.fields, provider.settings
  local enough = settings.recipients_to_pause
  local asked = was_taken and {} or list_of(fields.requests)
  for _, request in ipairs(requests) do
    local recipient, seconds, code = request[1], request[2], request[4]
    if request[3] then
      pause(provider, seconds, 'the provider asked for a pause of all calls: ' .. code, settings.pause_cap_seconds)
    else
      for i, each in ipairs(asked) do
        if recipient ~= '' and each[1] == recipient then
          table.remove(asked, i)
          break
        end
      end
      asked[#asked + 1] = {recipient, seconds}
      while #asked > enough do
        table.remove(asked, 1)
      end
      if #asked >= enough then
        local shortest = asked[1][2]
        for _, each in ipairs(asked) do
          shortest = math.min(shortest, each[2])
        end
        local reason = string.format('%d recipients in a row were told to wait, last %s', enough, code)
        pause(provider, shortest, reason, settings.pause_cap_seconds)
      end
    end
  end
  fields.requests = #asked > 0 and cjson.encode(asked) or ''
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
    is_ramping = is_ramping(provider),
    reason = fields.reason,
    account = fields.account,
    since = fields.changed_at > 0 and now - fields.changed_at or 0,
    throttled_reason = fields.throttled_until > now and fields.throttled_reason or '',
    throttled_since = fields.throttled_until > now and now - fields.throttled_at or 0,
    changes = #provider.changes > 0 and provider.changes or nil,
  }
end
