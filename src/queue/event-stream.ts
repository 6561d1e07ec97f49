/** In Lua, with `call`, `meta` and `events`: the stream of events is as short as BullMQ keeps it (its `getOrSetMaxEvents`). */
export const TRIM_EVENTS = `
local max_events = call('HGET', meta, 'opts.maxLenEvents')
if not max_events then
  max_events = 10000
  call('HSET', meta, 'opts.maxLenEvents', max_events)
end
call('XTRIM', events, 'MAXLEN', '~', max_events)
`
