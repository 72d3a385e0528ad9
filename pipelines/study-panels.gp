# study-panels.gp OUT LIST TITLE YLABEL: curves over the steps of the sequence with their intervals, in a panel for each of several things.
# LIST: a line a curve: panel, name, colour (1 to 6, zero, cpt, lc), 1 (solid) or 2 (dashed), where a vertical line stands in its
# panel (0: nowhere), and its file with columns step, value, lo, hi.
load 'style.gp'
unset datafile columnheaders
stats ARG2 using (1) nooutput
array panel[int(STATS_records)]
array name[int(STATS_records)]
array colour[int(STATS_records)]
array dash[int(STATS_records)]
array line_at[int(STATS_records)]
array file[int(STATS_records)]
array title_of[int(STATS_records)]
array key_of[int(STATS_records)]
array hue[int(STATS_records)]
n = 0
m = 0
keys = 0
stats ARG2 using (n = n + 1, panel[n] = strcol(1), name[n] = strcol(2), colour[n] = strcol(3), dash[n] = int(column(4)), line_at[n] = column(5), file[n] = strcol(6), 0) nooutput
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
per_line = per_line > keys ? keys : per_line
room = 18 * int((keys + per_line - 1) / per_line) + 34
tall = m > 1 ? 235 : 330
H = 46.0 + down * tall + room
eval svg(W, H)
set output ARG1
set multiplot title ARG3 noenhanced
unset key
# Few points have whiskers, side by side; many have bands.
bars = most < 14
span = max > min ? max - min : 1
edge = max == min ? 0.5 : bars ? 0.04 * span : 0.2
set xrange [min - edge:max + edge]
if (max - min < 8) { set xtics 1 }
set yrange [*<0:0<*]
set format y '%g'
do for [i = 1:n] { hue[i] = colour[i] eq 'cpt' ? c_cpt : colour[i] eq 'lc' ? c_lc : colour[i] eq 'zero' ? c_ft : c_study[int(real(colour[i]))] }
place(s) = s eq 'zero' ? 1 : s eq 'cpt' ? 2 : s eq 'lc' ? 3 : int(real(s))
beside(i) = bars ? (place(colour[i]) - 2.5) * (max > min ? 0.009 : 0.04) * span : 0
do for [p = 1:m] {
	x = (p - 1) % across
	y = int((p - 1) / across)
	set lmargin at screen (84 + x * (W - 10) / across) / W
	set rmargin at screen ((x + 1) * (W - 10) / across - 6) / W
	set tmargin at screen 1 - (72.0 + y * tall) / H
	set bmargin at screen 1 - (46.0 + (y + 1) * tall - 40) / H
	above = m > 1 ? title_of[p] : ''
	below = y == down - 1 || p + across > m ? 'step' : ''
	side = x == 0 ? ARG4 : ''
	set title above offset 0, -0.6
	set xlabel below offset 0, 0.3
	set ylabel side offset 1, 0
	unset arrow
	at = 0
	own = ''
	do for [i = 1:n] {
		at = panel[i] eq title_of[p] && line_at[i] > at ? line_at[i] : at
		own = panel[i] eq title_of[p] ? own . ' ' . i : own
	}
	if (at > 0) { set arrow 1 from at, graph 0 to at, graph 1 nohead lc rgb '#999999' lw 1 dt 3 }
	plot 0 with lines lc rgb '#333333' lw 1.2 dt 3 notitle, \
		for [i in own] file[int(i)] using 1:(bars ? 1/0 : column(3)):4 with filledcurves fs transparent solid 0.14 noborder lc rgb hue[int(i)] notitle, \
		for [i in own] file[int(i)] using ($1 + beside(int(i))):(bars ? column(3) : 1/0):(0):(column(4) - column(3)) with vectors nohead lw 1.2 lc rgb hue[int(i)] notitle, \
		for [i in own] file[int(i)] using ($1 + beside(int(i))):2 with linespoints pt 7 ps (max - min < 41 ? 0.4 : 0.01) lw 2 dt dash[int(i)] lc rgb hue[int(i)] notitle
}
# the key, of all panels: gnuplot's own leaves out what it holds to be too much
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
set tmargin at screen 1
wide = 7.4 * longest + 60
do for [k = 1:keys] {
	x = (W - per_line * wide) / 2 + (k - 1) % per_line * wide + 6
	y = (room - 30.0 - 18 * int((k - 1) / per_line)) / H
	set arrow from screen x / W, screen y to screen (x + 30) / W, screen y nohead lw 2 dt dash[key_of[k]] lc rgb hue[key_of[k]]
	set label name[key_of[k]] at screen (x + 38) / W, screen y left noenhanced textcolor rgb '#222222'
}
set xrange [0:1]
set yrange [0:1]
plot 2 notitle
unset multiplot
