# includes.awk - who may include what, and which words stay in which room.
#
# Doors: common <- policy, wallet, ledger <- proxy <- cli. A room's unit tests and fuzz
# targets pass through the room's own doors.

BEGIN {
	doors["common"] = "common"
	doors["policy"] = "policy common"
	doors["wallet"] = "wallet common"
	doors["ledger"] = "ledger common"
	doors["proxy"] = "proxy policy wallet ledger common"
	doors["cli"] = "cli proxy policy wallet ledger common"

	doors["unit"] = "common" # tests/unit/unit.h
	doors["fuzz"] = "common" # tests/fuzz/fuzz.h
	doors["replay"] = "common" # tests/fuzz/replay.c

	# <arpa/inet.h> is not among them: reading an address opens nothing.
	outside = "^(curl|event2|netinet|nghttp2)/|^(event|evhttp|evdns|netdb|llhttp|poll|jwt)\\.h$|" \
	    "^sys/(socket|un|epoll|select|poll)\\.h$"
	sql = "\"(insert into|delete from|create (table|index|trigger)|select .* from|pragma) |" \
	    "[^A-Z](INSERT INTO|DELETE FROM|CREATE (TABLE|INDEX|TRIGGER|VIEW)|SELECT .* FROM|PRAGMA) |" \
	    "[^A-Z]UPDATE .* SET "
	# A name that starts here, and the bracket of its call.
	clock_call = "(^|[^A-Za-z0-9_])" \
	    "(clock_now_us|clock_mono_us|clock_check|clock_gettime|gettimeofday|timespec_get|time) *\\("
	socket_call = "(^|[^A-Za-z0-9_.>])(socket|connect|accept|accept4|sendto|recvfrom|getaddrinfo) *\\("
}

function say(what) {
	print FILENAME ":" FNR ": " what
	bad = 1
}

function in_list(word, list) {
	return index(" " list " ", " " word " ") > 0
}

# Helpers of the tests belong to the room they are named after, or to all (unit.h, fuzz.h).
function check_own(path,    target) {
	if (path == "config.h" || is_test && path ~ /^tests\/(unit\/unit|fuzz\/fuzz)\.h$/)
		return
	target = path
	if (is_test)
		sub(/^tests\/(unit|fuzz)\//, "", target)
	if (!sub(/[\/_].*/, "", target) || !(target in doors))
		say("\"" path "\": includes are qualified by their folder")
	else if (!in_list(target, doors[room]))
		say(room " may not include " target "/ (\"" path "\")")
}

function check_system(path) {
	if (path == "sqlite3.h" && room != "ledger")
		say("only ledger/ may include <sqlite3.h>")
	if (path == "uthash.h" && FILENAME != "common/table.h" && !is_test)
		say("<uthash.h> alone calls exit() when memory is gone: include \"common/table.h\"")
	if (path ~ /^secp256k1/ && room != "wallet")
		say("only wallet/ may include <" path ">")
	if (path ~ outside && inner)
		say(room " may not include <" path ">: no sockets, no loop here")
	if (path ~ /^(unistd|fcntl|time|stdio_ext|pthread)\.h$|^sys\/(stat|time|file)\.h$/ &&
	    room == "policy" && !is_test)
		say("policy is pure and may not include <" path ">")
	if (path ~ /^(float|math|fenv|tgmath)\.h$/ && inner)
		say(room " may not include <" path ">: no floating point near money")
}

FNR == 1 {
	files++
	strip_start()
	is_test = FILENAME ~ /^tests\//
	room = FILENAME
	sub(/^tests\/(unit|fuzz)\//, "", room)
	sub(/[\/_].*|\.[ch]$/, "", room)
	if (!(room in doors)) {
		say("belongs to no room: name it " (FILENAME ~ /^tests\/fuzz/ ? "tests/fuzz" : "tests/unit") "/<room>_...")
		room = "common"
	}
	inner = in_list(room, "common policy wallet ledger")
}

{
	code = strip($0)
	if (code ~ /^[ \t]*#[ \t]*include/) {
		path = $0
		if (path ~ /</) {
			sub(/^[^<]*</, "", path)
			sub(/>.*/, "", path)
			check_system(path)
		} else {
			sub(/^[^"]*"/, "", path)
			sub(/".*/, "", path)
			check_own(path)
		}
		next
	}
	if (room != "ledger" && (literals ~ sql || code ~ /sqlite3_/))
		say("only ledger/ speaks SQL")
	if (room != "wallet" && code ~ /secp256k1_/)
		say("only wallet/ signs")
	if (inner && !is_test && code ~ socket_call)
		say(room " opens no sockets")
	if (room ~ /^(policy|wallet|ledger)$/) {
		if (code ~ /(^|[^A-Za-z0-9_])(double|float)([^A-Za-z0-9_]|$)/)
			say("no floating point in " room)
		if (!is_test && code ~ clock_call)
			say(room " is handed the time and does not read a clock")
	}
}

END {
	if (files == 0) {
		print "no source was read: is this the top of the tree?"
		bad = 1
	}
	exit bad
}
