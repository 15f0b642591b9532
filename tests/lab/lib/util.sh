# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Messages, the cache, and the versions of Debian's packages.

readonly STATUS_KERNEL=120	# the kernel complained, or something leaked
readonly STATUS_TIME=124	# the time limit, as of timeout(1)
readonly STATUS_LAB=125		# the lab itself: options, builds, a machine that does not start

cache=${DISCO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/disco}

say()
{
	printf 'lab: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit "$STATUS_LAB"
}

# need_disk DIR MIB WHAT
need_disk()
{
	local have

	have=$(df --output=avail -m "$1" | tail -n1)
	((have >= $2)) || die "$3 needs $2 MiB of disk in $1, there are ${have// /} MiB"
}

# need_memory MIB WHAT
need_memory()
{
	local have

	have=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	((have >= $1)) || die "$2 needs $1 MiB of memory, there are $have MiB available"
}

# key WORD... prints a short hash of the words; files are named as @FILE and go in by content.
key()
{
	local word

	for word; do
		if [[ $word == @* ]]; then
			cat -- "${word#@}"
		else
			printf '%s\n' "$word"
		fi
	done | sha256sum | cut -c1-16
}

# cached NAME KEY MIB BUILDER [ARGUMENT]... prints the directory NAME-KEY of the cache. When it does not
# exist yet, "BUILDER TMP FINAL ARGUMENT..." fills the empty directory TMP, which is then renamed FINAL:
# nothing half built is ever seen.
cached()
{
	local name=$1 dir=$cache/$1-$2 mib=$3

	shift 3
	if [[ ! -d $dir ]]; then
		mkdir -p "$cache"
		(build_entry "$name" "$dir" "$mib" "$@") 9>"$cache/.lock-$name"
	fi
	touch "$dir"
	printf '%s\n' "$dir"
}

# remove_build DIR...: what was built halfway. mmdebstrap that was killed leaves its mounts, of /proc
# and of the files in /dev: the host's own.
remove_build()
{
	local dir mount

	for dir; do
		while read -r _ mount _; do
			[[ $mount != "$dir"/* ]] || umount -l "$mount" || true
		done < <(tac /proc/mounts)
		rm -rf --one-file-system "$dir"
	done
}

# build_entry NAME DIR MIB BUILDER [ARGUMENT]..., in a subshell that holds the lock's file as 9. BUILDER
# gets a shell of its own, so that the lock dies with this one and "set -e" holds.
build_entry()
{
	local name=$1 dir=$2 mib=$3 builder=$4 log=$cache/$1.log start=$SECONDS

	shift 4
	flock -n 9 || { say "waiting for another build of $name"; flock 9; }
	[[ ! -d $dir ]] || return 0
	remove_build "$cache/.build-$name".*
	need_disk "$cache" "$mib" "building $name"
	say "building $name in $dir"
	tmp=$(mktemp -d "$cache/.build-$name.XXXXXX")
	chmod 755 "$tmp"
	"$lab/lab" build-step "$builder" "$tmp" "$dir" "$@" >"$log" 2>&1 9>&- &
	pid=$!
	# Not local: the trap runs when this function is over.
	trap 'kill "$pid" 2>/dev/null || true; remove_build "$tmp"' EXIT
	until timeout 30 tail --pid="$pid" -f /dev/null; do
		say "$name: $((SECONDS - start)) s, $(tail -n 1 "$log" | cut -c 1-70)"
	done
	if ! wait "$pid"; then
		tail -n 20 "$log" >&2
		die "building $name failed; the whole log is $log"
	fi
	mv -T "$tmp" "$dir"
	say "$name is ready after $((SECONDS - start)) s"
	# Older versions of it that nobody used lately.
	find "$cache" -maxdepth 1 -type d -name "$name-????????????????" -mtime +14 -exec rm -rf {} +
}

# apt's options for a private view of bookworm-backports, which the host need not have enabled.
backports_options()
{
	local dir=$cache/apt-backports

	apt_options=(
		-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
	)
	[[ ! -s $dir/sources.list ]] || return 0
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	(
		flock 9
		[[ ! -s $dir/sources.list ]] || exit 0
		say "reading the package list of bookworm-backports"
		printf 'deb [signed-by=%s] %s bookworm-backports main\n' \
			/usr/share/keyrings/debian-archive-keyring.gpg "$("$lab/../../scripts/debian-mirror" bookworm)" \
			>"$dir/sources.list.new"
		apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$dir/sources.list.new" \
			-qq update >&2 || exit
		mv "$dir/sources.list.new" "$dir/sources.list"
	) 9>"$cache/.lock-apt" || die "cannot read the package list of bookworm-backports"
}

# memoized NAME COMMAND... runs COMMAND, which asks apt, and remembers its output for as long as
# apt's package lists stay what they are: apt needs most of a second for an answer. Trees that
# want other packages share the cache.
memoized()
{
	local name=$1 stamp file

	shift
	mkdir -p "$cache/apt-backports/lists"
	stamp=$(find /var/lib/apt/lists "$cache/apt-backports/lists" -name '*_Packages*' \
		-printf '%p %T@ %s\n' | sort | key "$*" "@$lab/rootfs.packages" @/dev/stdin)
	file=$cache/.memo-$name-$stamp
	if [[ ! -s $file ]]; then
		find "$cache" -maxdepth 1 -name ".memo-$name-*" -mtime +14 -delete
		"$@" >"$file.$BASHPID" || die "apt does not know the packages for '$name'"
		mv "$file.$BASHPID" "$file"
	fi
	cat "$file"
}
