#compdef tallyward
# Completion of tallyward(1) for bash, and for zsh through its bashcompinit.
#
# Commands, verbs and options are read from --help, so they are those of the program that
# runs. Names of agents, tools and the like are asked for only while a daemon runs in the
# data folder: without one each question costs a scrypt.

# _tallyward_list COLUMN COMMAND VERB [OPTION]: one column of a list the daemon gives.
_tallyward_list()
{
	local column=$1
	shift
	[ -S "$dir/admin.sock" ] || return 0
	"$program" -d "$dir" --json "$@" 2>/dev/null |
		sed -n "s/^ *\"$column\": \"\([^\"\\\\]*\)\",\{0,1\}\$/\1/p" | sort -u
}

# _tallyward_value NAME: what may stand where the usage says NAME.
_tallyward_value()
{
	case $1 in
	*'|'*) printf '%s\n' "$1" | tr '|' '\n' ;;
	AGENT) _tallyward_list agent agent list ;;
	TOOL) _tallyward_list tool tool list ;;
	CHAIN) _tallyward_list network network list ;;
	SESSION) _tallyward_list session token list ;;
	PAYMENT) _tallyward_list payment payment list --open ;;
	FILE) compgen -f -- "$current" ;;
	DIR) compgen -d -- "$current" ;;
	esac
}

_tallyward()
{
	local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} before="" word help usage
	local dir=${TALLYWARD_DIR:-./tallyward-data} command="" verb="" candidates="" at=0 i=1
	local value_of=""

	[ "$current" = = ] && current=""
	# What the words before this one are.
	while [ "$i" -lt "$COMP_CWORD" ]; do
		word=${COMP_WORDS[i]}
		if [ "$word" = = ]; then
			: # bash takes --dir=x for three words
		elif [ -n "$value_of" ]; then
			[ "$value_of" = DIR ] && dir=$word
			value_of=""
		else
			case $word in
			-d | --dir) value_of=DIR ;;
			--*=*) ;;
			--*)
				value_of=$(printf '%s\n' "$help" |
					sed -n "s/^  $word \([A-Z][A-Z]*\|[^ ]*|[^ ]*\)  .*/\1/p")
				;;
			-*) ;;
			*)
				if [ -z "$command" ]; then
					command=$word
				elif [ -z "$verb" ] && [ -n "$before" ]; then
					verb=$word
				else
					at=$((at + 1))
				fi
				help=$("$program" $command $verb --help 2>/dev/null)
				# A group of verbs, of which one is still to come.
				before=$(printf '%s\n' "$help" | sed -n '/^Verbs:$/p')
				;;
			esac
		fi
		i=$((i + 1))
	done

	[ -n "$help" ] || help=$("$program" $command $verb --help 2>/dev/null)
	if [ -n "$value_of" ]; then
		candidates=$(_tallyward_value "$value_of")
	elif [ "${current#-}" != "$current" ]; then
		candidates=$(printf '%s\n' "$help" |
			sed -n 's/^  \(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p')
	elif [ -z "$command" ]; then
		candidates=$(printf '%s\n' "$help" |
			sed -n '/^Commands:$/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')
	elif [ -n "$before" ]; then
		candidates=$(printf '%s\n' "$help" |
			sed -n "/^Verbs:\$/,/^\$/s/^  tallyward $command \([a-z][a-z]*\).*/\1/p")
	else
		# The argument whose turn it is, without the brackets of an optional one.
		usage=$(printf '%s\n' "$help" | sed -n "s/^Usage: tallyward $command *$verb *//p")
		usage=$(printf '%s\n' "$usage" | tr ' ' '\n' | sed 's/^\[\([A-Z]*\)\]$/\1/' |
			sed -n '/^[A-Z][A-Z]*$/!q;p' | sed -n "$((at + 1))p")
		candidates=$(_tallyward_value "$usage")
	fi
	COMPREPLY=($(compgen -W "$candidates" -- "$current"))
	# And a colon, as in a chain's name, ends a word.
	if type __ltrim_colon_completions >/dev/null 2>&1; then
		__ltrim_colon_completions "$current"
	fi
}

if [ -n "$ZSH_VERSION" ]; then
	autoload -U +X bashcompinit && bashcompinit
fi
complete -o filenames -F _tallyward tallyward
