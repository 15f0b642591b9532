# SPDX-License-Identifier: GPL-2.0-only
# Results for ../table. Machine memory is what free memory says, the same way on all
# sides; what the module's and the kernel's own counters say is in the note.

include "figure";

def round1: . * 10 | round / 10;

def bar($bars; $guests; $side): first($bars[] | select(.guests == $guests and .side == $side));

def compare($name; $ours; $peer; $peer_name; $target; $note):
	{ $name, unit: "MiB", $ours, $peer, $peer_name, ratio: ($ours / $peer),
	  better: "lower", $target, runs: 1, $note };

def results($base):
	bars as $bars | ($bars | map(.guests) | unique) as $counts | $counts[-1] as $most |
	bar($bars; $most; "disco") as $disco | bar($bars; $most; "virtual") as $virtual |
	(.sides.ksm.results // [] | max_by(.guests).ksm) as $ksm |
	[ if $disco then
		compare("\($base)-\($most)"; $disco.measured; $virtual.total;
			"virtual: as if nothing were shared"; 0.55;
			"the module counts \($disco.total | round1) MiB"),
		(if $counts | length > 2 then
			bar($bars; $counts[0]; "disco") as $one | bar($bars; $counts[-2]; "disco") as $before |
			compare("\($base)-marginal";
				($disco.measured - $before.measured) / ($most - $counts[-2]);
				$one.measured / $counts[0]; "the first guest"; 0.4;
				"guests \($counts[-2] + 1) to \($most), each; the module counts \(
				 ($disco.total - $before.total) / ($most - $counts[-2]) | round1) and \(
				 $one.total / $counts[0] | round1) MiB")
		 else empty end),
		(("stock", "ksm") as $side | bar($bars; $most; $side) as $peer | select($peer) |
			compare("\($base)-\($most)-\($side)"; $disco.measured; $peer.measured;
				if $side == "ksm" then "KSM after 60 s" else "stock" end;
				if $side == "ksm" then 1 else null end;
				"by their own counters: \($disco.total | round1) and \($peer.total | round1) MiB")),
		(if $ksm then
			([.sides.disco.results[].merge.cpu] | add) as $merging |
			{ name: "\($base)-scanning", unit: "s of CPU", ours: $merging, peer: $ksm.seconds,
			  peer_name: "ksmd", ratio: ($merging / $ksm.seconds), better: "lower", target: null, runs: 1,
			  note: "merges that were asked for, \(.sides.disco.results | length) of them; nothing scans" }
		 else empty end)
	  else empty end ];
