# study-panels.gp OUT LIST TITLE YLABEL: curves over the steps of the sequence with their intervals, in a panel for each of several things.
# LIST: a line a curve: panel, name, colour (1 to 6, zero, cpt, lc), 1 (solid) or 2 (dashed), where a vertical line stands in its
# panel (0: nowhere), and its file with columns step, value, lo, hi.
load 'style.gp'
unset datafile columnheaders
array panel[64]
array name[64]
array colour[64]
array dash[64]
array line_at[64]
array file[64]
array title_of[64]
array key_of[64]
n = 0
m = 0
keys = 0
stats ARG2 using (n < 64 ? (n = n + 1, panel[n] = strcol(1), name[n] = strcol(2), colour[n] = strcol(3), dash[n] = int(column(4)), line_at[n] = column(5), file[n] = strcol(6), 0) : NaN) nooutput
do for [i = 1:n] {
	new = 1
	do for [k = 1:m] { new = title_of[k] eq panel[i] ? 0 : new }
	if (new) { m = m + 1; title_of[m] = panel[i] }
	new = 1
	do for [k = 1:keys] { new = name[key_of[k]] eq name[i] ? 0 : new }
	if (new) { keys = keys + 1; key_of[keys] = i }
}
min = 1e30
max = -1e30
most = 0
do for [i = 1:n] {
	stats file[i] using 1 nooutput
	min = STATS_records && STATS_min < min ? STATS_min : min
	max = STATS_records && STATS_max > max ? STATS_max : max
	most = STATS_records > most ? STATS_records : most
}
across = m > 1 ? 2 : 1
down = int((m + across - 1) / across)
longest = 0
do for [k = 1:keys] { longest = strlen(name[key_of[k]]) > longest ? strlen(name[key_of[k]]) : longest }
W = 760.0
per_line = int((W - 20) / (7.4 * longest + 60))
per_line = per_line < 1 ? 1 : per_line
room = 18 * int((keys + per_line - 1) / per_line) + 24
tall = m > 1 ? 235 : 330
H = 46.0 + down * tall + room
eval svg(W, H)
set output ARG1
set multiplot title ARG3 noenhanced
unset key
set xrange [min - 0.2:max + 0.2 + (max == min)]
if (max - min < 8) { set xtics 1 }
set yrange [*<0:0<*]
set format y '%g'
array hue[64]
do for [i = 1:n] { hue[i] = colour[i] eq 'cpt' ? c_cpt : colour[i] eq 'lc' ? c_lc : colour[i] eq 'zero' ? c_ft : c_study[int(real(colour[i]))] }
# Few points have whiskers, side by side; many have bands.
bars = most < 14
place(s) = s eq 'zero' ? 1 : s eq 'cpt' ? 2 : s eq 'lc' ? 3 : int(real(s))
beside(i) = bars ? (place(colour[i]) - 2.5) * 0.009 * (max - min) : 0
do for [p = 1:m] {
	x = (p - 1) % across
	y = int((p - 1) / across)
	set lmargin at screen (62 + x * (W - 10) / across) / W
	set rmargin at screen ((x + 1) * (W - 10) / across - 6) / W
	set tmargin at screen 1 - (72.0 + y * tall) / H
	set bmargin at screen 1 - (46.0 + (y + 1) * tall - 40) / H
	above = m > 1 ? title_of[p] : ''
	below = y == down - 1 || p + across > m ? 'step' : ''
	left = x == 0 ? ARG4 : ''
	set title above offset 0, -0.6
	set xlabel below offset 0, 0.3
	set ylabel left
	unset arrow
	at = 0
	do for [i = 1:n] { at = panel[i] eq title_of[p] && line_at[i] > at ? line_at[i] : at }
	if (at > 0) { set arrow 1 from at, graph 0 to at, graph 1 nohead lc rgb '#999999' lw 1 dt 3 }
	plot 0 with lines lc rgb '#333333' lw 1.2 dt 3 notitle, \
		for [i = 1:n] file[i] using 1:(panel[i] eq title_of[p] && !bars ? column(3) : 1/0):4 with filledcurves fs transparent solid 0.14 noborder lc rgb hue[i] notitle, \
		for [i = 1:n] file[i] using ($1 + beside(i)):(panel[i] eq title_of[p] && bars ? column(3) : 1/0):(0):(column(4) - column(3)) with vectors nohead lw 1.2 lc rgb hue[i] notitle, \
		for [i = 1:n] file[i] using ($1 + beside(i)):(panel[i] eq title_of[p] ? column(2) : 1/0) with linespoints pt 7 ps (max - min < 41 ? 0.4 : 0.01) lw 2 dt dash[i] lc rgb hue[i] notitle
}
# the key, of all panels
unset arrow
unset border
unset tics
unset grid
set title ''
set xlabel ''
set ylabel ''
set lmargin at screen 0
set rmargin at screen 1
set bmargin at screen 0
set tmargin at screen (room - 8) / H
set key at screen 0.5, screen (room - 12) / 2 / H center center horizontal maxcols per_line samplen 2.4
set xrange [0:1]
set yrange [0:1]
plot for [k = 1:keys] NaN with lines lw 2 dt dash[key_of[k]] lc rgb hue[key_of[k]] title name[key_of[k]]
unset multiplot
