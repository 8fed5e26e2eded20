-- What wrk measured, as one line of JSON. Only done() is defined, so that no Lua runs
-- while requests do.
done = function(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		'{"calls":%d,"us":%d,"failed":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
		summary.requests, summary.duration,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout,
		latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
