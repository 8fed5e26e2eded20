-- Calls from a file of "path token" lines, in turn, each of which is to be refused.
local requests = {}
for line in io.lines(os.getenv("HAMMER")) do
	local path, token = line:match("^(%S+) (%S+)$")
	requests[#requests + 1] = "GET " .. path .. " HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer " ..
		token .. "\r\n\r\n"
end

local at = 0
request = function()
	at = at % #requests + 1
	return requests[at]
end

done = function(summary)
	io.write(string.format('{"calls":%d,"us":%d,"admitted":%d}\n',
		summary.requests, summary.duration, summary.requests - summary.errors.status))
end
