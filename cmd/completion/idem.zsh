#compdef idem
# Completion of idem for zsh.

_idem() {
	local -a lines values shown
	local line value about directive n
	lines=("${(@f)$("${(Q)words[1]/#\~\//$HOME/}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	directive=${lines[-1]#:}
	[[ $directive == <-> ]] || return 1
	shift -p lines

	if ((directive & 64)); then
		n=$((directive >> 8))
		words=("${(@)words[n+2,-1]}")
		((CURRENT -= n + 1))
		_normal
		return
	fi
	if [[ $PREFIX == --*=* ]]; then
		compset -P 1 '*='
	fi
	if ((directive & 16)); then
		_files -/
		return
	fi
	if ((!(directive & 4) && !$#lines)); then
		_files
		return
	fi
	for line in "${(@)lines}"; do
		value=${line%%$'\t'*}
		about=${line#"$value"}
		values+=("$value")
		shown+=("$value${about:+  -- ${about#$'\t'}}")
	done
	local -a flags
	if ((directive & 2)); then flags+=(-S ''); fi
	if ((directive & 32)); then flags+=(-o nosort); fi
	if [[ "$shown" == *'  -- '* ]]; then flags+=(-l); fi
	compadd "${(@)flags}" -d shown -a values
}

if [[ $funcstack[1] == _idem ]]; then
	_idem "$@"
else
	compdef _idem idem
fi
