# shellcheck shell=bash disable=SC2034 # its variables are for who sources it
# tests/fault/build.sh - sourced by tests/fault/crash and faults, which set $here: what they
# need is built beside the program under test.

fail() {
	printf 'fault: %s\n' "$1" >&2
	printf '0 passed, 1 failed\n'
	exit 1
}

# shellcheck source=tests/packages.sh
. "$here/../packages.sh" || fail 'tests/packages.sh is missing'
node_check || fail 'no node to run the tests with'
command -v sqlite3 >/dev/null || fail 'sqlite3 is missing (Debian: apt-get install sqlite3)'
node_install "$here/../e2e" || fail 'cannot install the node packages of tests/e2e'

TALLYWARD=${TALLYWARD:-$here/../../build/tallyward}
[ -x "$TALLYWARD" ] || fail "there is no $TALLYWARD to test; build it or set TALLYWARD"
TALLYWARD=$(cd "$(dirname "$TALLYWARD")" && pwd)/$(basename "$TALLYWARD")
export TALLYWARD
make -s -C "$(dirname "$TALLYWARD")" tests/fault/tallyward tests/fault/shim.so >&2 ||
	fail 'the test program does not build'
