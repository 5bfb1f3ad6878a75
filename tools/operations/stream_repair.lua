-- Rebuild a stream whose last ID lies in the future: entries with such IDs get new ones, in the same order; groups, consumers
-- and pending entries follow. The server allows no smaller last ID, and none below a deleted entry, so the entries are copied
-- to a new key, which then replaces the stream.
--
-- KEYS: the stream, and three keys for as long as it takes: the copy, a hash of new IDs by old ID, and a list of placeholders.
-- ARGV: 'copy' and the most entries to copy in this call, or 'switch', which copies the rest and replaces the stream.
-- Returns the number of copied entries, and 1 if none is left; 'switch': the numbers of entries (with deleted ones that are
-- pending) and of pending entries with new IDs, and the last ID. After an error the stream is as it was, and the other keys are gone.

local stream, copy, ids, placeholders = unpack(KEYS)
local STEP = 500
local MOST_FIELDS = 7000 -- the limit of unpack() is 8000
local TEMPORARY_GROUP = 'stellaops-storage' -- no group may have this name
local LARGEST = '18446744073709551615'

-- IDs have 64-bit numbers, which a Lua number cannot hold: compare them as text of equal length.
local function padded(id)
  local ms, seq = id:match('^(%d+)-(%d+)$')
  return ('0'):rep(20 - #ms) .. ms .. ('0'):rep(20 - #seq) .. seq
end

local function fields_of(flat)
  local fields = {}
  for index = 1, #flat, 2 do fields[flat[index]] = flat[index + 1] end
  return fields
end

-- The start of a range after an ID; nil after the largest one.
local function after(id)
  if id == '' then return '-' end
  return id ~= LARGEST .. '-' .. LARGEST and '(' .. id or nil
end

-- The ID that this function returns when it is called repeatedly is that of the next entry of a stream, finally nil.
local function entry_ids(key)
  local page, index, start = {}, 0, '-'
  return function()
    index = index + 1
    if index > #page then
      if not start then return nil end
      page, index = redis.call('XRANGE', key, start, '+', 'COUNT', STEP), 1
      start = #page == STEP and after(page[STEP][1]) or nil
    end
    return page[index] and page[index][1]
  end
end

if redis.call('HEXISTS', ids, 'start') == 0 then
  local time = redis.call('TIME')
  redis.call('DEL', copy, placeholders)
  redis.call('HSET', ids, 'start', time[1] .. string.format('%03d', math.floor(time[2] / 1000)), 'last', '', 'new', 0)
end
local start_ms, last, new_count = unpack(redis.call('HMGET', ids, 'start', 'last', 'new'))
local latest = start_ms .. '-' .. LARGEST -- the largest ID that does not lie in the future
local latest_key = padded(latest)
local new_ms = string.format('%.0f', tonumber(start_ms) + 1)
new_count = tonumber(new_count)

local function new_id(number) return new_ms .. '-' .. string.format('%.0f', number) end
local function in_future(id) return padded(id) > latest_key end
-- The ID in the copy.
local function counterpart(id) return in_future(id) and redis.call('HGET', ids, id) or id end

local groups = {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do groups[#groups + 1] = fields_of(flat) end

local function add(id, fields)
  if #fields > MOST_FIELDS then error('entry ' .. id .. ' has too many fields to be copied', 0) end
  local there = id
  if in_future(id) then
    new_count = new_count + 1
    there = new_id(new_count)
    redis.call('HSET', ids, id, there)
  end
  redis.call('XADD', copy, there, unpack(fields))
  last = id
end

-- Return the IDs of pending entries in a range, by padded ID, and the padded IDs in order.
local function pending_in(first, final)
  local found, order = {}, {}
  for _, group in ipairs(groups) do
    local start = first
    while start do
      local page = redis.call('XPENDING', stream, group.name, start, final, STEP)
      for _, item in ipairs(page) do
        local key = padded(item[1])
        if not found[key] then order[#order + 1] = key end
        found[key] = item[1]
      end
      start = #page == STEP and page[STEP][1] ~= final and after(page[STEP][1]) or nil
    end
  end
  table.sort(order)
  return found, order
end

-- Copy at most `most` entries after `last`. An entry that was deleted but is still pending gets a placeholder, because only an
-- entry that exists can become pending. Return the number of entries, and whether there are no more.
local function copy_entries(most)
  local copied, complete = 0, false
  while copied < most and not complete do
    local start, size = after(last), math.min(STEP, most - copied)
    local page = start and redis.call('XRANGE', stream, start, '+', 'COUNT', size) or {}
    complete = #page < size
    local pending, order = {}, {}
    if start then pending, order = pending_in(start, complete and '+' or page[#page][1]) end
    local next_pending = 1
    local function add_placeholders(before)
      while order[next_pending] and (not before or order[next_pending] < before) do
        local id = pending[order[next_pending]]
        add(id, {'deleted', ''})
        redis.call('RPUSH', placeholders, id)
        next_pending = next_pending + 1
      end
    end
    for _, entry in ipairs(page) do
      local key = padded(entry[1])
      add_placeholders(key)
      add(entry[1], entry[2])
      if order[next_pending] == key then next_pending = next_pending + 1 end
    end
    if complete then add_placeholders(nil) end
    copied = copied + #page
  end
  redis.call('HSET', ids, 'last', last, 'new', new_count)
  return copied, complete
end

-- The position in the copy: entries after it are those after `id` in the stream.
local function position(id)
  if not in_future(id) then return id end
  local before = redis.call('XREVRANGE', stream, id, '(' .. latest, 'COUNT', 1)[1]
  return before and counterpart(before[1]) or new_id(0)
end

local function copy_group(group)
  local name, moved = group.name, 0
  redis.call('XGROUP', 'CREATE', copy, name, '0')
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
    redis.call('XGROUP', 'CREATECONSUMER', copy, name, fields_of(flat).name)
  end
  -- Entries that were delivered together are claimed together.
  local batch, there, key = nil, {}, nil
  local function claim()
    if not batch then return end
    local _, consumer, idle, deliveries = unpack(batch)
    local words = {'XCLAIM', copy, name, consumer, 0}
    for _, id in ipairs(there) do words[#words + 1] = id end
    for _, word in ipairs({'IDLE', idle, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID'}) do words[#words + 1] = word end
    if #redis.call(unpack(words)) ~= #there then error('pending entries of group ' .. name .. ' cannot be copied', 0) end
  end
  local start = '-'
  while start do
    local page = redis.call('XPENDING', stream, name, start, '+', STEP)
    for _, item in ipairs(page) do
      local id, consumer, idle, deliveries = unpack(item)
      local item_key = idle .. ' ' .. deliveries .. ' ' .. consumer
      if item_key ~= key or #there == STEP then
        claim()
        batch, there, key = item, {}, item_key
      end
      there[#there + 1] = counterpart(id)
      if there[#there] ~= id then moved = moved + 1 end
    end
    start = #page == STEP and after(page[STEP][1]) or nil
  end
  claim()
  local setting = {'XGROUP', 'SETID', copy, name, position(group['last-delivered-id'])}
  if group['entries-read'] then
    setting[6], setting[7] = 'ENTRIESREAD', group['entries-read']
  end
  redis.call(unpack(setting))
  return moved
end

-- Remove placeholders, and entries that were removed from the stream after they had been copied.
local function remove_deleted()
  for _, id in ipairs(redis.call('LRANGE', placeholders, 0, -1)) do redis.call('XDEL', copy, counterpart(id)) end
  local length = redis.call('XLEN', stream)
  if redis.call('XLEN', copy) == length then return end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if first then
    redis.call('XTRIM', copy, 'MINID', counterpart(first[1]))
  else
    redis.call('XTRIM', copy, 'MAXLEN', 0)
  end
  if redis.call('XLEN', copy) == length then return end
  local next_there, next_here = entry_ids(copy), entry_ids(stream)
  local here = next_here()
  for there in next_there do
    if here and counterpart(here) == there then
      here = next_here()
    else
      redis.call('XDEL', copy, there)
    end
  end
  if redis.call('XLEN', copy) ~= length then error('the copy differs from the stream', 0) end
end

local function switch()
  copy_entries(math.huge)
  redis.call('XGROUP', 'CREATE', copy, TEMPORARY_GROUP, '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', copy, TEMPORARY_GROUP)
  local pending = 0
  for _, group in ipairs(groups) do pending = pending + copy_group(group) end
  remove_deleted()
  local info = fields_of(redis.call('XINFO', 'STREAM', stream))
  local setting = {'XSETID', copy, new_id(new_count), 'ENTRIESADDED', info['entries-added']}
  local deleted = position(info['max-deleted-entry-id'])
  local deleted_there = fields_of(redis.call('XINFO', 'STREAM', copy))['max-deleted-entry-id']
  if padded(deleted_there) > padded(deleted) then deleted = deleted_there end
  if deleted ~= '0-0' then
    setting[6], setting[7] = 'MAXDELETEDID', deleted
  end
  redis.call(unpack(setting))
  local ttl = redis.call('PTTL', stream)
  redis.call('RENAME', copy, stream)
  if ttl > 0 then redis.call('PEXPIRE', stream, ttl) end
  redis.call('DEL', ids, placeholders)
  return {new_count, pending, new_id(new_count)}
end

local succeeded, result = pcall(function()
  if ARGV[1] == 'switch' then return switch() end
  local copied, complete = copy_entries(tonumber(ARGV[2]))
  return {copied, complete and 1 or 0}
end)
if succeeded then return result end
redis.call('DEL', copy, ids, placeholders)
if type(result) == 'table' then return result end
return redis.error_reply('ERR ' .. tostring(result))
