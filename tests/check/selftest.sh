# selftest.sh - sourced by *_test: does the check find what it is there to find?
# Needs $check, the program under test. A case is one file in an empty tree.

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cases=0
failures=0

# found FILE PATTERN TEXT: the check must fail, and say so on a line that begins
# with FILE and matches PATTERN.
found() {
	new_case "$1" "$3"
	if output=$("$check" "$tree" 2>&1); then
		fail "$1 passed but should not: $2"
	elif ! printf '%s\n' "$output" | grep -q -- "^$1:[0-9]*: .*$2"; then
		fail "$1: wanted '$2', got: $output"
	fi
}

# fine FILE TEXT: the check must pass and be silent.
fine() {
	new_case "$1" "$2"
	if ! output=$("$check" "$tree" 2>&1); then
		fail "$1 should pass: $output"
	elif [ -n "$output" ]; then
		fail "$1 passes, but not in silence: $output"
	fi
}

new_case() {
	cases=$((cases + 1))
	rm -rf "$tree"
	mkdir -p "$tree/$(dirname "$1")"
	printf '%s\n' "$2" >"$tree/$1"
}

fail() {
	failures=$((failures + 1))
	printf 'FAIL %s\n' "$1"
}

# An empty tree has nothing wrong in it, which must not pass for "all is well".
refuses_nothing() {
	cases=$((cases + 1))
	rm -rf "$tree"
	mkdir -p "$tree"
	if "$check" "$tree" >/dev/null 2>&1; then
		fail "an empty tree passed"
	fi
}

finish() {
	echo "$((cases - failures)) of $cases cases as they should be"
	[ "$failures" -eq 0 ] && [ "$cases" -gt 0 ]
}
