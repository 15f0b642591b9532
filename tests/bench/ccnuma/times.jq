# SPDX-License-Identifier: GPL-2.0-only
# What run measured, as bars: a workload's time under each policy, first touch is 100.
# Input of all: the lines of NAME.data, as a list.

include "svg";

def names: { static: "first touch", interleave: "interleave", disco: "Disco", uma: "UMA bound" };

# What is not local costs three times as much, unless numa.conf says otherwise.
def bars:
	(.[] | select(.rule == "static")) as $static |
	. + [$static | .rule = "uma" | .local = .misses | .stall_ns = .uma_ns - .busy_ns | .time_ns = .uma_ns |
	     .migrated = 0 | .replicated = 0 | .dropped = 0 | .moves_ns = 0] |
	map(def share: . * 100 / $static.time_ns;
	    (.time_ns / .nodes / 1e9) as $seconds |
	    { name: names[.rule], time: (.time_ns | share), busy: (.busy_ns | share), stall: (.stall_ns | share),
	      moves: (.moves_ns | share), local: (.local * 100 / .misses), seconds: $seconds,
	      migrated: (.migrated / $seconds), replicated: (.replicated / $seconds),
	      dropped: (.dropped / $seconds),
	      gap: (($static.time_ns - .time_ns) * 100 / ($static.time_ns - $static.uma_ns)) });

def colours: { busy: "#4878a8", stall: "#e0a050", moves: "#b04040" };

def one_bar($x; $bottom):
	. as $bar |
	foreach (("busy", "stall", "moves"), null) as $part ($bottom;
		if $part then . - $bar[$part] * 2.5 else . end;
		if $part then rectangle($x; .; 40; $bar[$part] * 2.5; colours[$part])
		else text($x + 20; . - 3; "middle"; $bar.time | round) end),
	text($x + 20; $bottom + 11; "middle"; $bar.name),
	text($x + 20; $bottom + 22; "middle"; "\($bar.local | round)% local");

def picture($title):
	bars as $bars |
	"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"340\" font-family=\"sans-serif\" font-size=\"9\">",
	rectangle(0; 0; 320; 340; "white"),
	text(10; 14; "start"; "\($title): time, first touch = 100"),
	([ ["busy", "computing"], ["stall", "waiting for memory"], ["moves", "moves"] ] |
		to_entries[] | rectangle(10 + .key * 100; 21; 8; 8; colours[.value[0]]),
		text(22 + .key * 100; 28; "start"; .value[1])),
	($bars | to_entries[] | .key as $i | .value | one_bar(20 + $i * 72; 305)),
	"</svg>";

# Results for ../table.
def results($name; $gap; $note):
	(bars | map({ key: .name, value: . }) | from_entries) as $bar |
	(.[] | select(.rule == "disco")) as $disco |
	{ better: "higher", runs: 1, peer: 100 } as $common |
	$common + { name: "ccnuma-\($name)-local", unit: "% of misses", ours: $bar.Disco.local, peer_name: "all local",
		ratio: ($bar.Disco.local / 100), target: 0.8,
		note: "\($note); first touch \($bar["first touch"].local * 10 | round / 10)%, interleave \($bar.interleave.local * 10 | round / 10)%" },
	$common + { name: "ccnuma-\($name)-gap", unit: "% of gap", ours: $bar.Disco.gap, peer_name: "UMA bound",
		ratio: ($bar.Disco.gap / 100), target: $gap,
		note: "of the time between first touch and the UMA bound; moves are \($bar.Disco.moves * 100 | round / 100)% of first touch's time" },
	{ name: "ccnuma-\($name)-time", unit: "s", better: "lower", runs: 1, target: null, ours: $bar.Disco.seconds,
	  peer: $bar["first touch"].seconds, peer_name: "first touch", ratio: ($bar.Disco.time / 100),
	  limit: $bar["UMA bound"].seconds, limit_name: "UMA bound",
	  note: "simulated; \($disco.most_copies * 4 / 1024 | round) MiB of copies, \($disco.write_shared) times a hot page was left as shared and written, \($disco.refused) moves refused" };
