# shellcheck shell=bash disable=SC2034 # its variables are for who sources it
# tests/packages.sh - what tallyward needs from outside: Debian packages to build and test
# it, node packages for the end-to-end tests and the quick start. Sourced by tests/run,
# tests/e2e/run, tests/fuzz/run and examples/quickstart.
#
# Every function says on stderr what went wrong, and returns 1 then.

# To build the program, and to build and run what checks it.
packages_to_build="autoconf automake make gcc pkg-config libc6-dev libevent-dev node-llhttp
	libcurl4-openssl-dev libsecp256k1-dev libsqlite3-dev libjansson-dev libssl-dev libjwt-dev
	libarchive-dev libjemalloc-dev libseccomp-dev uthash-dev zlib1g-dev"
packages_to_test="$packages_to_build clang libcmocka-dev hledger sqlite3 curl ca-certificates git
	openssl xz-utils mandoc valgrind"
packages_to_try="$packages_to_build curl ca-certificates"
# libFuzzer is in libclang-rt-dev; tests/run needs neither, it only replays what was kept.
packages_to_fuzz="$packages_to_build clang libclang-rt-dev afl++"

# Names those of the list that are not installed; node counts whoever installed it.
packages_missing() { # PACKAGE...
	local package
	command -v dpkg-query >/dev/null || return 0 # not Debian: configure says what is missing
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		set -- "$@" nodejs npm
	fi
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
			printf ' %s' "$package"
	done
}

# Installs what is missing; without root it says what root has to do.
packages_install() { # LOG PACKAGE...
	local log=$1 missing
	shift
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "packages are missing; as root, first: apt-get update && apt-get install$missing" >&2
		return 1
	fi
	echo "installing:$missing"
	# shellcheck disable=SC2086 # a list of words
	{
		DEBIAN_FRONTEND=noninteractive apt-get update &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
	} >"$log" 2>&1 </dev/null && return
	tail -n 20 "$log" >&2
	echo "cannot install:$missing" >&2
	return 1
}

# The node that runs the end-to-end bed, and the options it needs: sets node_options.
node_check() {
	local major
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		echo "node or npm is missing (Debian: apt-get install nodejs npm)" >&2
		return 1
	fi
	major=$(node -p 'process.versions.node.split(".")[0]')
	if [ "$major" -lt 18 ]; then
		echo "node 18 or newer is needed, this is $(node --version)" >&2
		return 1
	fi
	# Node 18 has the Web Crypto API, but not yet under its global name.
	node_options=()
	[ "$major" -ge 19 ] || node_options+=(--experimental-global-webcrypto)
}

# npm leaves a copy of the lock behind; newer than ours means installed.
node_installed() { # FOLDER
	[ -e "$1/node_modules/.package-lock.json" ] &&
		[ ! "$1/package-lock.json" -nt "$1/node_modules/.package-lock.json" ]
}

# Installs a folder's node packages from its lock file, unless they are there.
# Nothing we install needs its install script, so none is run.
node_install() { # FOLDER
	node_installed "$1" && return
	(cd "$1" && npm ci --ignore-scripts --no-progress --loglevel=error >&2 </dev/null) || {
		echo "npm ci failed in $1" >&2
		return 1
	}
	touch "$1/node_modules/.package-lock.json"
}
