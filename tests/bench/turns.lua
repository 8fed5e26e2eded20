-- Calls of several agents, whose tokens are the lines of a file, in turn.
dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "wrk.lua")

local requests = {}
local at = 0

init = function()
	for token in io.lines(os.getenv("TOKENS")) do
		wrk.headers["Authorization"] = "Bearer " .. token
		requests[#requests + 1] = wrk.format()
	end
end

request = function()
	at = at % #requests + 1
	return requests[at]
end
