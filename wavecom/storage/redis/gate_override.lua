-- An operator pauses a provider, or opens it again, for all workers.
--
-- KEYS    the provider's hash, its probes
-- asks    {breaker: settings, action: "pause" | "set_pause" | "reopen", seconds, reason, at}
--         set_pause and reopen are what every worker asks for that reads of it: the first one's word holds.
--         at is when somebody said "reopen": who comes late with it must not close what has opened since
-- answers view
--
-- include: gate_common

local ask = cjson.decode(ARGV[1])
local provider = load_provider(KEYS[1], KEYS[2], ask.breaker)
local fields = provider.fields

wake(provider)
if ask.action == 'set_pause' and math.abs(fields.throttled_until - now - ask.seconds) < 2 then
  return cjson.encode(view(provider))
end
if ask.action == 'reopen' then
  if ask.at <= fields.reopened_at then
    return cjson.encode(view(provider))
  end
  fields.reopened_at = ask.at
end
-- The operator's word takes the place of the provider's.
local was_paused = fields.throttled_until > now
fields.throttled_until = 0
if ask.action ~= 'reopen' then
  pause(provider, ask.seconds, ask.reason, ask.seconds)
else
  if was_paused then
    note_change(provider, 'unthrottled', ask.reason, 0)
  end
  fields.throttled_reason = ''
  fields.requests = ''
  fields.openings = 0
  if was_paused or fields.state ~= 'closed' then
    begin_ramp(provider, now)
  end
  if fields.state ~= 'closed' then
    fields.closed_at = now
    enter(provider, 'closed', ask.reason)
  end
end
-- A worker is to tell of it, in the log where all other changes stand.
fields.untold = #provider.changes > 0 and cjson.encode(provider.changes) or ''
provider.changes = {}
save_provider(provider)
return cjson.encode(view(provider))
