# bash completion for discoctl                             -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0-only

# The mount that the words so far choose, if any.
_discoctl_mount()
{
	local i

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-m | --mount)
			printf '%s' "${words[i + 1]}"
			return
			;;
		--mount=*)
			printf '%s' "${words[i]#*=}"
			return
			;;
		esac
	done
}

# Adds the machines (ram) or disks (disk) whose names begin with $cur. Others
# choose the names, so they are quoted and never given to compgen -W, which would
# expand them.
_discoctl_names()
{
	local folder=$1 mount name

	mount=$(_discoctl_mount)
	while IFS= read -r -d '' name; do
		[[ $name != "$cur"* ]] || COMPREPLY+=("$(printf '%q' "$name")")
	done < <(find "${mount:-/run/disco}/$folder" -type f -printf '%P\0' 2>/dev/null)
}

# Adds the domains that can be cloned, with names chosen by others as above.
_discoctl_domains()
{
	local name

	while IFS= read -r name; do
		[[ ! $name || $name != "$cur"* ]] ||
			COMPREPLY+=("$(printf '%q' "$name")")
	done < <(virsh list --state-paused --name 2>/dev/null)
}

_discoctl()
{
	local cur prev words cword
	local -a commands=()
	local i

	_init_completion -n = || return

	case $prev in
	-m | --mount)
		_filedir -d
		return
		;;
	--plot | --log)
		_filedir
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'name virtual private shared
			machine saved moved local' -- "$cur")
		return
		;;
	--pfn | --copies | --max | --mode | -d | --delay | -n | --count)
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-j --json -p --pretty
			-m --mount -a --all --pfn --same-gfn-only --copies --max --mode
			-b --batch -d --delay -n --count --sort --plot --log -h --help -V --version' -- "$cur")
		return
	fi

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-m | --mount | --pfn | --copies | --max | --mode | -d | --delay | \
			-n | --count | --sort | --plot | --log) ((i++)) ;;
		-*) ;;
		*) commands+=("${words[i]}") ;;
		esac
	done

	case "${#commands[@]} ${commands[*]}" in
	"0 ")
		mapfile -t COMPREPLY < <(compgen -W 'vm vcpu disk page merge numa
			move replicate collapse heat clone top stat check version help' -- "$cur")
		;;
	"1 vm")
		mapfile -t COMPREPLY < <(compgen -W 'list show help' -- "$cur")
		;;
	"1 vcpu")
		mapfile -t COMPREPLY < <(compgen -W 'list show dump help' -- "$cur")
		;;
	"1 disk")
		mapfile -t COMPREPLY < <(compgen -W 'add list show drop-cache
			remove help' -- "$cur")
		;;
	"1 heat")
		mapfile -t COMPREPLY < <(compgen -W 'show list drain sample help' \
			-- "$cur")
		;;
	"1 page" | "1 merge" | "1 numa" | "1 move" | "1 replicate" | "1 collapse")
		mapfile -t COMPREPLY < <(compgen -W 'help' -- "$cur")
		_discoctl_names ram
		;;
	"1 clone")
		mapfile -t COMPREPLY < <(compgen -W 'help' -- "$cur")
		_discoctl_domains
		;;
	"2 vm show" | "2 vcpu list" | "2 vcpu show" | "2 vcpu dump")
		_discoctl_names ram
		;;
	"2 heat show" | "2 heat list" | "2 heat drain" | "2 heat sample")
		_discoctl_names ram
		;;
	[2-9]" merge "* | [1-9][0-9]" merge "* | [2-9]" numa "* | [1-9][0-9]" numa "*)
		_discoctl_names ram
		;;
	"2 disk show" | "2 disk drop-cache" | "2 disk remove")
		_discoctl_names disk
		;;
	"2 collapse "*)
		mapfile -t COMPREPLY < <(compgen -W 'all' -- "$cur")
		;;
	"3 disk add "*)
		_filedir
		;;
	"1 top" | "1 stat" | "1 check" | "1 version")
		mapfile -t COMPREPLY < <(compgen -W 'help' -- "$cur")
		;;
	esac
} &&
	complete -F _discoctl discoctl
