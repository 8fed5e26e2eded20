# shellcheck shell=bash
# tests/fuzz/build.sh - sourced by tests/fuzz/run and keep, at the top of the tree: builds the
# targets with a fuzzing engine in the place of replay.c's main().

# shellcheck source=tests/packages.sh
. tests/packages.sh || exit 1

fuzz_fail() {
	printf 'fuzz: %s\n' "$1" >&2
	exit 1
}

fuzz_targets() { # prints them all
	local file
	for file in tests/fuzz/*_fuzz.c; do
		file=${file##*/}
		printf '%s\n' "${file%_fuzz.c}"
	done
}

# What fails is shown; nothing else is.
fuzz_quietly() { # LOG COMMAND...
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null && return
	tail -n 40 "$log" >&2
	fuzz_fail "failed: $*"
}

fuzz_build() { # libfuzzer|afl; sets $fuzz_folder
	local arguments
	fuzz_folder=build-fuzz
	arguments=(CC=clang "--enable-sanitizers=address,undefined"
		"CFLAGS=-O1 -g -fsanitize=fuzzer-no-link")
	if [ "$1" = afl ]; then
		# Without sanitizers: what AFL++ is here for is its other way to mutate, and speed.
		fuzz_folder=build-afl
		arguments=(CC=afl-clang-fast "CFLAGS=-O2 -g")
		export AFL_QUIET=1
	fi
	mkdir -p "$fuzz_folder/work" "$fuzz_folder/found"
	# shellcheck disable=SC2086,SC2154 # a list of words, of packages.sh
	packages_install "$fuzz_folder/packages.log" $packages_to_fuzz ||
		fuzz_fail 'cannot go on without packages'
	if [ ! -e configure ] || [ ! -e Makefile.in ]; then
		fuzz_quietly "$fuzz_folder/autogen.log" ./autogen.sh
	fi
	if [ "$(cat "$fuzz_folder/configured" 2>/dev/null)" != "${arguments[*]}" ]; then
		(cd "$fuzz_folder" &&
			fuzz_quietly configure.log ../configure --enable-werror "${arguments[@]}") || exit 1
		printf '%s\n' "${arguments[*]}" >"$fuzz_folder/configured"
	fi
	fuzz_quietly "$fuzz_folder/make.log" \
		make -C "$fuzz_folder" -j2 FUZZ_ENGINE=-fsanitize=fuzzer fuzz-programs
}

# Words that many targets meet, and the target's own.
fuzz_dictionary() { # TARGET; prints the file's name
	local out=$fuzz_folder/work/$1.dict
	cat tests/fuzz/dict/json.dict >"$out"
	[ -e "tests/fuzz/dict/$1.dict" ] && cat "tests/fuzz/dict/$1.dict" >>"$out"
	printf '%s' "$out"
}

# Longest input worth trying; what is long by nature gets more.
fuzz_size_max() { # TARGET
	case $1 in
	proxy_dispute) printf 32768 ;;
	proxy_restore) printf 10240 ;;
	wallet_challenge) printf 8192 ;;
	*) printf 4096 ;;
	esac
}
