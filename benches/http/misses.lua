-- Another address with each request, so that no finished answer is found for it:
--
--   wrk … -s misses.lua URL -- list START             the same list, before another time that is yet to come
--   wrk … -s misses.lua URL -- article START COUNT    one of so many generated articles, spelt in another way
--
-- START is where to go on, so that one run repeats nothing of the one before it.

local THREAD = 100000000
local threads = 0

function setup(thread)
  thread:set("begin", threads * THREAD)
  threads = threads + 1
end

function init(arguments)
  kind, number, count = arguments[1], tonumber(arguments[2]) + begin, tonumber(arguments[3])
  separator = wrk.path:find("?", 1, true) and "&" or "?"
end

local function list()
  local seconds = math.floor(number / 1000)
  return string.format("%s%spublished_before=2200-01-%02dT%02d:%02d:%02d.%03dZ", wrk.path, separator,
    1 + math.floor(seconds / 86400) % 28, math.floor(seconds / 3600) % 24, math.floor(seconds / 60) % 60, seconds % 60,
    number % 1000)
end

-- Each bit of the round says whether a letter is written as it is or by its code.
local function spelt(round)
  return (("generated"):gsub(".", function(letter)
    local coded = round % 2 == 1
    round = math.floor(round / 2)
    return coded and string.format("%%%02X", letter:byte()) or letter
  end))
end

local function article()
  local round = math.floor(number / count)
  -- A prime that shares no factor with usual counts, so that neighbours are not asked for one after another.
  return "/api/v1/articles/" .. spelt(round) .. "-" .. (number * 7919) % count
end

function request()
  number = number + 1
  return wrk.format("GET", kind == "list" and list() or article())
end
