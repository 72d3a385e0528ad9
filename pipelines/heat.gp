# heat.gp OUT.svg NAME DIR LIMIT: the matrix, perplexity against zero-shot.
load 'style.gp'
domains = ARG3 . '/per-domain.tsv'
cells = ARG3 . '/cells.tsv'
limit = real(ARG4)
stats domains using 1 nooutput
N = int(STATS_max)
names = N <= 40
array name[N]
stats domains using (name[int(column('step'))] = strcol('domain'), 0) nooutput
side = names ? (N < 4 ? 60 : N < 12 ? 34 : N < 26 ? 26 : 20) : 680.0 / N
longest = 0
do for [i = 1:N] {
	name[i] = cut(name[i], 26)
	longest = strlen(name[i]) > longest ? strlen(name[i]) : longest
}
text = names ? 7.6 * longest + 42 : 76
below = names ? 7.6 * longest + 18 : 80
W = text + N * side + 120
H = N * side + below + 44
eval svg(W, H)
set output ARG1
set lmargin at screen text / W
set rmargin at screen (text + N * side) / W
set tmargin at screen 1 - 40.0 / H
set bmargin at screen below / H
set title ARG2 . ': perplexity against zero-shot'
set xrange [0.5:N + 0.5]
set yrange [N + 0.5:0.5]
set cbrange [-limit:limit]
set border 0
unset grid
set tics scale 0
set ylabel 'after training on'
set xlabel 'measured on'
if (names) {
	set xtics rotate by 90 right ('' 1)
	set ytics ('' 1)
	do for [i = 1:N] {
		set xtics add (escape(name[i]) i)
		set ytics add (escape(sprintf('%s  %d', name[i], i)) i)
	}
	set ylabel ''
	set xlabel ''
}
set colorbox user origin (text + N * side + 22) / W, below / H size 14.0 / W, (N * side) / H
set cbtics ('0' 0)
do for [i = -99:200] {
	p = i * nice(limit)
	if (p > -100 && i != 0) {
		x = log(1 + p / 100.0)
		if (x > -limit && x < limit && (i < 0 || limit < 0.6 || i % 2 == 0 || i == 1)) { set cbtics add (sprintf('%+d %%%%', p) x) }
	}
}
# what was not measured is hatched, not white, which is close to no change
missing = 0
stats cells using (missing = missing + (column('step') > 0 && column('transfer') != column('transfer')), 0) nooutput
if (missing) {
	set object 1 rectangle from 0.5, 0.5 to N + 0.5, N + 0.5 behind fc rgb '#8a9299' fs pattern 4 noborder
	x = (text + N * side + 22) / W
	set object 2 rectangle from screen x, (below - 24) / H to screen x + 14.0 / W, (below - 10) / H fc rgb '#8a9299' fs pattern 4 border lc rgb '#8a9299'
	set label 1 'not measured' at screen x + 18.0 / W, (below - 17) / H font ',10' textcolor rgb '#333333'
}
unset key
prev = ''
was(s) = (changed = column('step') > 1 && s ne prev, prev = s, changed)
heat = "cells using (column('step') > 0 ? column('position') : NaN):'step':(-column('transfer')) every ::N"
lines = "domains using (was(strcol('portion')) ? column('step') - 0.5 : NaN):(0.5):(0):(N) with vectors nohead lc rgb '#222222' lw 1.5,"\
	. "domains using (0.5):(was(strcol('portion')) ? column('step') - 0.5 : NaN):(N):(0) with vectors nohead lc rgb '#222222' lw 1.5,"\
	. "domains using 'step':'step':(0.5):(0.5) with boxxyerror fs empty border rgb '#111111' lw (names ? 1.6 : 0.5) lc rgb '#111111'"
# an image has at least two cells in each direction
one = "domains using 'step':'step':(0.5):(0.5):(log(column('cpt') / column('zs'))) with boxxyerror fs solid noborder lc palette"
eval 'plot ' . (N > 1 ? heat . ' with image ' . (names ? 'pixels' : '') : one) . ', ' . lines
