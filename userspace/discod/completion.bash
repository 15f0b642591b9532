# bash completion for discod                               -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0-only

_discod()
{
	local cur prev words cword

	_init_completion -n = || return

	case $prev in
	-c | --config | -l | --log)
		_filedir
		return
		;;
	-m | --mount)
		_filedir -d
		return
		;;
	-a | --affinity)
		mapfile -t COMPREPLY < <(compgen -W 'none node memory' -- "$cur")
		return
		;;
	-b | --budget | -i | --log-interval)
		return
		;;
	esac

	mapfile -t COMPREPLY < <(compgen -W '-c --config -m --mount -b --budget
		-a --affinity -l --log -i --log-interval -n --dry-run -v --verbose
		-f --foreground -h --help -V --version' -- "$cur")
} &&
	complete -F _discod discod
