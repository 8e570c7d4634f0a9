-- A worker tells what came of its calls and learns how every provider stands.
--
-- KEYS    the workers, then for each provider its hash and its probes
-- asks    {worker: name or null, is_leaving, workers_seconds, providers: [{breaker, cells or null, tally: {epoch, calls,
--         failures, slow, failures_in_a_row, successes, recipients: {key: is in the row}, code, account}, was_taken, pauses:
--         [[recipient, seconds, is_for_all, code]], debt,
--         probes: [[name, "success" | "failure" | "unused", recipient, code, account]]}]}
-- answers {workers: how many live, views: [view]}
--
-- include: gate_common

local ask = cjson.decode(ARGV[1])
local views = {}

for i, told in ipairs(ask.providers) do
  local provider = load_provider(KEYS[2 * i], KEYS[2 * i + 1], told.breaker)
  wake(provider)
  if ask.worker ~= cjson.null and provider.fields.untold ~= '' then
    for _, change in ipairs(list_of(provider.fields.untold)) do
      provider.changes[#provider.changes + 1] = change
    end
    provider.fields.untold = ''
  end
  for _, probe in ipairs(told.probes) do
    return_probe(provider, probe)
  end
  report(provider, told.tally)
  local has_requests = told.was_taken and provider.fields.requests ~= '' or #told.pauses > 0
  if has_requests then
    request_pauses(provider, told.was_taken, told.pauses)
  end
  if told.debt > 0 and told.cells ~= cjson.null then
    charge(provider, told.cells, told.debt)
  end
  local is_news = told.tally.calls > 0 or told.tally.failures_in_a_row > 0 or has_requests or told.debt > 0 or #told.probes > 0
  if is_news or #provider.changes > 0 then
    save_provider(provider)
  end
  views[i] = view(provider)
end

if ask.worker ~= cjson.null then
  if ask.is_leaving then
    redis.call('ZREM', KEYS[1], ask.worker)
  else
    redis.call('ZADD', KEYS[1], string.format('%.3f', now), ask.worker)
    redis.call('EXPIRE', KEYS[1], KEEP_SECONDS)
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.3f', now - ask.workers_seconds))
return cjson.encode({workers = redis.call('ZCARD', KEYS[1]), views = views})
