# SPDX-License-Identifier: GPL-2.0-only
# The bars as a picture (SVG): a group for each number of guests.

include "figure";

def colours: { cache: "#4878a8", private: "#e0a050", tables: "#b04040" };

def rectangle($x; $y; $width; $height; $colour):
	"<rect x=\"\($x)\" y=\"\($y)\" width=\"\($width)\" height=\"\($height)\" fill=\"\($colour)\"/>";

def text($x; $y; $anchor; $words):
	"<text x=\"\($x)\" y=\"\($y)\" text-anchor=\"\($anchor)\">\($words)</text>";

# A bar's parts, from the bottom up, and its total above them.
def bar($x; $bottom; $scale):
	. as $bar |
	foreach (("cache", "private", "tables"), null) as $part ($bottom;
		if $part then . - $bar[$part] * $scale else . end;
		if $part then rectangle($x; .; 24; $bar[$part] * $scale; colours[$part])
		else text($x + 12; . - 3; "middle"; $bar.total | round) end),
	text($x + 12; $bottom + 11; "middle"; $bar.side);

def svg:
	bars as $bars | ($bars | map(.total) | max) as $top | (300 / $top) as $scale |
	([ $bars[].guests ] | unique) as $counts | ([ $bars[].side ] | unique | length) as $sides |
	($sides * 30 + 24) as $group | 350 as $bottom | ($counts | length * $group + 20) as $width |
	"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\($width)\" height=\"400\" font-family=\"sans-serif\" font-size=\"9\">",
	rectangle(0; 0; $width; 400; "white"),
	text(10; 14; "start"; "Memory of guests from one disk, MiB"),
	([ ["cache", "text and cache"], ["private", "other pages of guests"], ["tables", "tables"] ] |
		to_entries[] | rectangle(200 + .key * 110; 7; 8; 8; colours[.value[0]]),
		text(212 + .key * 110; 14; "start"; .value[1])),
	($counts | to_entries[] | .key as $i | .value as $count |
		text(20 + $i * $group + $sides * 15; $bottom + 28; "middle";
		     "\($count) \(if $count == 1 then "guest" else "guests" end)"),
		([ $bars[] | select(.guests == $count) ] | to_entries[] | .key as $j | .value |
			bar(20 + $i * $group + $j * 30; $bottom; $scale))),
	"</svg>";
