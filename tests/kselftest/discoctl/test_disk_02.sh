#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl disk add: what cannot become a disk is refused, with the reason, and
# leaves nothing behind.
. "$(dirname "$0")/common.sh"

head -c $((4 * page)) /dev/urandom >"$tmp/backing"
mkfifo "$tmp/fifo"
: >"$tmp/empty"

# refused TEXT NAME PATH [OPTION...]
refused()
{
	ctl disk add "${@:2}"
	fails "$1" "refused: $1"
}

refused 'is a folder' a "$tmp"
refused 'is neither a file nor a block device' a "$tmp/fifo"
refused 'is neither a file nor a block device' a /dev/null
refused 'No such file' a "$tmp/nothing"
refused 'empty is empty' a "$tmp/empty"
truncate -s $((4 * page)) "$mnt/ram/vm"
refused 'is on a disco file system itself' a "$mnt/ram/vm"
rm "$mnt/ram/vm"
exec {writer}>>"$tmp/backing"
refused 'backing is open for writing' a "$tmp/backing"
exec {writer}>&-
refused '"a/b" is no name for a disk' a/b "$tmp/backing"
refused '".." is no name for a disk' .. "$tmp/backing"
refused '"" is no name for a disk' '' "$tmp/backing"
refused 'at most 255 bytes' "$(printf 'x%.0s' {1..256})" "$tmp/backing"
refused '--max "much" is not a size' a "$tmp/backing" --max much
refused '--mode "999" is not a mode' a "$tmp/backing" --mode 999
is "$(ls "$mnt/disk")" "" "nothing was made"

# A disk of a disk would be a loop sooner or later.
ctl disk add a "$tmp/backing"
refused 'there is a disk a' a "$tmp/backing"
refused 'is on a disco file system itself' b "$mnt/disk/a"
is "$(ls "$mnt/disk")" a "nothing but the first was made"
ctl disk remove a

modprobe -q loop
device=$(losetup --find --show "$tmp/backing" 2>/dev/null)
if [[ ! $device ]]; then
	nr=$((nr + 1))
	echo "ok $nr - block device # SKIP no loop device"
	done_testing
fi
refused 'set it read-only first' a "$device"
blockdev --setro "$device"
# A user who may add disks here, and may not read the device.
chmod 777 "$mnt/disk"
chmod 600 "$device"
user_ctl disk add a "$device"
fails "$device" "refused: a block device that the user may not read"
[[ $err == *'Permission denied'* && -z $(ls "$mnt/disk") ]]
ok $? "with the reason, and nothing is made"
chmod 755 "$mnt/disk"
ctl disk add a "$device"
ok $((status != 0)) "a block device that is read-only becomes a disk"
cmp "$tmp/backing" "$mnt/disk/a"
ok $? "with its contents"
ctl disk remove a
ok $((status != 0)) "and can be removed"
# It would stay so for whoever takes the device next.
blockdev --setrw "$device"
losetup -d "$device"

done_testing
