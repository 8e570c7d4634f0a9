-- An operator pauses a provider, or opens it again, for all workers.
--
-- KEYS    the provider's hash, its probes
-- asks    {breaker: settings, action: "pause" | "set_pause" | "reopen", seconds, reason, at}
--         set_pause and reopen are what every worker asks for that reads of it: the first one's word holds.
--         at is when somebody said "reopen", by the store's clock: what holds it closed since then is not what was meant
-- answers view
--
-- include: gate_common

-- The store's clock and this server's may be so far apart.
local CLOCKS_DIFFER_SECONDS = 2

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
if ask.action ~= 'reopen' then
  fields.throttled_until = 0
  pause(provider, ask.seconds, ask.reason, ask.seconds)
else
  local said_at = ask.at + CLOCKS_DIFFER_SECONDS
  local ends_pause = fields.throttled_until > now and fields.throttled_at <= said_at
  local closes = fields.state ~= 'closed' and fields.opened_at <= said_at
  fields.requests = ''
  if ends_pause then
    fields.throttled_until = 0
    fields.throttled_reason = ''
    note_change(provider, 'unthrottled', ask.reason, 0)
  end
  if (ends_pause or closes) and fields.throttled_until <= now then
    begin_ramp(provider, now)
  end
  if closes then
    fields.closed_at = now
    enter(provider, 'closed', ask.reason)
  end
  if fields.state == 'closed' then
    fields.openings = 0
  end
end
-- A worker is to tell of it, in the log where all other changes stand.
fields.untold = #provider.changes > 0 and cjson.encode(provider.changes) or ''
provider.changes = {}
save_provider(provider)
return cjson.encode(view(provider))
