# bash completion for disco-replay                         -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0-only

_disco_replay()
{
	local cur prev words cword

	_init_completion -n = || return

	case $prev in
	-c | --config)
		_filedir
		return
		;;
	-s | --set)
		mapfile -t COMPREPLY < <(compgen -S = -W 'policy.interval_ms
			policy.max_moves_per_s policy.replica_percent
			machine.local_ns machine.remote_ns machine.migrate_ns
			machine.replicate_ns machine.collapse_ns disco.trigger
			disco.sharing disco.write disco.reset_ms
			disco.move_limit disco.limit_ms autonuma.scan_ms
			carrefour.interval_ms carrefour.misses_per_ms
			carrefour.local_percent carrefour.min_misses' -- "$cur")
		compopt -o nospace 2>/dev/null
		return
		;;
	-P | --policy)
		mapfile -t COMPREPLY < <(compgen -W 'static interleave autonuma
			carrefour disco' -- "$cur")
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-j --json -p --pretty
			-c --config -s --set -P --policy -m --moves -l --list
			-h --help -V --version' -- "$cur")
		return
	fi
	_filedir
} &&
	complete -F _disco_replay disco-replay
