# style.awk - what a reader should not stumble over.

BEGIN {
	banned = "(^|[^A-Za-z0-9_])(sprintf|vsprintf|strcpy|stpcpy|strcat|strtok|atoi|atol|atoll|atof|" \
	    "gets|system|rand|srand|alloca) *\\("
	# Spelled so that this file does not find itself.
	unfinished = "(^|[^A-Za-z0-9_])(TO" "DO|FIX" "ME|XX" "X)([^A-Za-z0-9_]|$)"
}

function say(what) {
	print FILENAME ":" FNR ": " what
	bad = 1
}

# Columns, with tabs of 8 and UTF-8 continuation bytes taking none.
function columns(line,    n, parts, i, width) {
	gsub(/[\200-\277]/, "", line)
	n = split(line, parts, "\t")
	width = length(parts[1])
	for (i = 2; i <= n; i++)
		width += 8 - width % 8 + length(parts[i])
	return width
}

FNR == 1 {
	files++
	strip_start()
	is_c = FILENAME ~ /\.[ch]$/
}

/[ \t\r]$/ {
	say("blanks at the end of the line")
}

$0 ~ unfinished {
	say("unfinished: finish it or leave it out")
}

!is_c {
	next
}

/^\t* +\t/ || /^\t*        / {
	say("indent with tabs of 8")
}

{
	code = strip($0)
	# One long literal on a line of its own (a signature, a URL) is better not cut.
	only = code
	gsub(/[ \t{}(),;]/, "", only)
	if (columns($0) > 100 && only != "\"\"")
		say("longer than 100 columns")
	if (code ~ banned) {
		match(code, banned)
		name = substr(code, RSTART, RLENGTH)
		gsub(/[^A-Za-z0-9_]/, "", name)
		say(name "() is banned")
	}
}

END {
	if (files == 0) {
		print "no source was read: is this the top of the tree?"
		bad = 1
	}
	exit bad
}
