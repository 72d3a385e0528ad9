# l1.gp OUT.svg NAME DIR LIMIT: backward and forward transfer from L1 to L1.
load 'style.gp'
table = ARG3 . '/l1.tsv'
limit = real(ARG4)
stats table using 1 nooutput
N = int(STATS_max)
side = N < 5 ? 46 : N < 9 ? 30 : N < 20 ? 24 : 16
array name[N]
stats table using (name[int(column('i'))] = strcol('trained'), 0) nooutput
longest = 0
do for [i = 1:N] {
	name[i] = cut(name[i], 24)
	longest = strlen(name[i]) > longest ? strlen(name[i]) : longest
}
text = 7.6 * longest + 30
panel = N * side
panel = panel < 215 ? 215 : panel
W = text + 2 * panel + 130
H = panel + text + 84
eval svg(W, H)
set output ARG1
set multiplot title ARG2 . ': transfer from field to field, perplexity against zero-shot'
set xrange [0.5:N + 0.5]
set yrange [N + 0.5:0.5]
set cbrange [-limit:limit]
set border 0
unset grid
unset key
set tics scale 0
set xtics rotate by 90 right ('' 1)
set ytics ('' 1)
do for [i = 1:N] {
	set xtics add (escape(name[i]) i)
	set ytics add (escape(name[i]) i)
}
set bmargin at screen (text + 10) / H
set tmargin at screen 1 - 68.0 / H
set cbtics ('0' 0)
do for [i = -99:200] {
	p = i * nice(limit)
	if (p > -100 && i != 0) {
		x = log(1 + p / 100.0)
		if (x > -limit && x < limit && (i < 0 || limit < 0.6 || i % 2 == 0 || i == 1)) { set cbtics add (sprintf('%+d %%%%', p) x) }
	}
}
unset colorbox
set lmargin at screen text / W
set rmargin at screen (text + panel) / W
set title 'backward: on domains seen before' offset 0, -0.6
plot table using 'j':'i' with points pt -1, \
	table using 'j':'i':(0.5):(0.5):(-column('backward')) with boxxyerror fs solid noborder lc palette, \
	table using 'j':'i':(N < 13 ? num(column('backward')) : ''):(ink(column('backward'), limit)) with labels font ',11' tc rgb variable
unset ytics
set lmargin at screen (text + panel + 24) / W
set rmargin at screen (text + 2 * panel + 24) / W
set title 'forward: on domains not seen yet' offset 0, -0.6
set colorbox user origin (text + 2 * panel + 40) / W, (text + 10) / H size 14.0 / W, panel / H
plot table using 'j':'i' with points pt -1, \
	table using 'j':'i':(0.5):(0.5):(-column('forward')) with boxxyerror fs solid noborder lc palette, \
	table using 'j':'i':(N < 13 ? num(column('forward')) : ''):(ink(column('forward'), limit)) with labels font ',11' tc rgb variable
unset multiplot
