# SPDX-License-Identifier: GPL-2.0-only
# What run measured, made into bars of a figure like the paper's, in MiB. A bar has
# the memory in pages of the disk (text and file cache), in other pages of guests,
# and in tables of the module or of KSM.

def mib: . / 1024;

# Memory as if nothing were shared: what each guest has of its own and of shared
# pages, whole; the most that it ever had, as a merge gives pages of zeros back.
def virtual($results; $count):
	[ $results[].disco.before.guests | to_entries[] ] | group_by(.key) |
	map(select(.[0].key | ltrimstr("guest-") | tonumber <= $count) |
	    max_by(.value.private + .value.shared).value) |
	{ cache: (map(.shared) | add | mib), private: (map(.private) | add | mib), tables: 0 };

# What the sides' own numbers say.
def machine($side):
	if $side == "stock" then
		{ cache: .image, private: .shm, tables: 0 }
	elif $side == "ksm" then
		{ cache: .image, private: .processes.guest, tables: .ksm.tables }
	else
		{ cache: (.disco.disk_used + .disco.disk_unused),
		  private: (.disco.pages - .disco.disk_used), tables: .disco.tables }
	end | map_values(mib);

def total: .cache + .private + .tables;

# Monitors' own memory, which is no guest's.
def monitors: .processes.monitor + .overlays;

# What the kernel says it has for something else than guests, since a side began: other
# anonymous memory, other files, tables and stacks of processes. What it has without
# saying for what stays in, on all sides alike.
def others($base; $cache):
	(.memory.anonymous - $base.anonymous - .processes.guest) +
	(.memory.files - $base.files - $cache) + (.memory.kernel - $base.kernel);

def bars:
	.sides as $sides |
	[ $sides | keys_unsorted[] as $side | $sides[$side] | .base as $base | .results[] |
	  machine($side) as $machine | ($base.free - .memory.free) as $all |
	  { guests, $side, monitors: (monitors | mib),
	    measured: ($all - others($base; $machine.cache * 1024) | mib) } + $machine,
	  (select($side == "disco") |
		{ guests, side: "virtual" } + virtual($sides.disco.results; .guests)) |
	  . + { total: total } ] |
	sort_by([.guests, (["virtual", "stock", "ksm", "disco"] as $order |
			   .side as $s | $order | index($s))]);
