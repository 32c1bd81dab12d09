# shellcheck shell=bash
# Completion of idem for bash. It requires no other file. With the package bash-completion, it
# also completes the arguments of the command that idem runs.

__idem_complete() {
	COMPREPLY=()
	local idem=${COMP_WORDS[0]/#\~\//$HOME/} line
	while IFS= read -r line; do
		COMPREPLY+=("$line")
	done < <("$idem" __completeBash "$COMP_TYPE" "${COLUMNS:-80}" "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
	[ ${#COMPREPLY[@]} -gt 0 ] || return 0
	local last=$((${#COMPREPLY[@]} - 1))
	local directive=${COMPREPLY[last]}
	unset "COMPREPLY[last]"

	if ((directive & 64)); then
		__idem_command $((directive >> 8))
		return 0
	fi
	if ((directive & 2)); then compopt -o nospace; fi
	if ((directive & 32)); then compopt -o nosort; fi
	if ((directive & 16)); then
		compopt -o dirnames
	elif ! ((directive & 4)); then
		compopt -o bashdefault -o default
	fi
	return 0
} 2>/dev/null

# __idem_command completes the words of the command that begins at a character of the line.
__idem_command() {
	local at=0 word=0 rest blank cur=${COMP_WORDS[COMP_CWORD]}
	while :; do
		rest=${COMP_LINE:at}
		blank=${rest%%[![:space:]]*}
		at=$((at + ${#blank}))
		((at < $1 && word < COMP_CWORD)) || break
		at=$((at + ${#COMP_WORDS[word]}))
		word=$((word + 1))
	done
	if declare -F _command_offset >/dev/null; then
		_command_offset "$word"
	elif ((word < COMP_CWORD)) || [[ $cur == */* ]]; then
		compopt -o bashdefault -o default
	else
		while IFS= read -r line; do
			COMPREPLY+=("$line")
		done < <(compgen -c -- "$cur")
	fi
}

complete -F __idem_complete idem
