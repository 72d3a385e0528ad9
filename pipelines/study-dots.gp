# study-dots.gp OUT FILE LIST TITLE XLABEL: values with intervals, for each group of LIST, in rows and three panels at most.
# FILE: a line a value: panel, row, group, value, lo, hi. XLABEL '': correlations, from -1 to 1.
load 'style.gp'
unset datafile columnheaders
n = 0
array name[6]
stats ARG3 using (n < 6 ? (n = n + 1, name[n] = strcol(1), 0) : NaN) nooutput
array title_of[3]
array row_of[32]
m = 0
rows = 0
is_title(s) = (found = 0, sum [k = 1:m] (found = title_of[k] eq s ? k : found, 0), found)
is_row(s) = (found = 0, sum [k = 1:rows] (found = row_of[k] eq s ? k : found, 0), found)
stats ARG2 using (is_title(strcol(1)) == 0 && m < 3 ? (m = m + 1, title_of[m] = strcol(1), 0) : 0) nooutput
stats ARG2 using (is_row(strcol(2)) == 0 && rows < 32 ? (rows = rows + 1, row_of[rows] = strcol(2), 0) : 0) nooutput
longest = 0
do for [k = 1:rows] { longest = strlen(row_of[k]) > longest ? strlen(row_of[k]) : longest }
# five tics or so in a panel
array tic[3]
do for [p = 1:m] {
	stats ARG2 using (strcol(1) eq title_of[p] ? column(5) : 0):(strcol(1) eq title_of[p] ? column(6) : 0) nooutput
	span = STATS_max_y - STATS_min_x
	tic[p] = 10 ** floor(log10(span / 3 + 1e-9))
	tic[p] = span / tic[p] > 10 ? 5 * tic[p] : span / tic[p] > 5 ? 2 * tic[p] : tic[p]
}
W = 760.0
below = 44.0 + 18 * n + (ARG5 eq '' ? 0 : 30)
H = 74.0 + below + rows * (16 + (rows > 6 ? 11 : 22) * n)
eval svg(W, H)
set output ARG1
set multiplot title ARG4 noenhanced
unset key
if (ARG5 eq '') {
	set xrange [-1:1]
	set xtics -1, 0.5
	set format x '%g'
} else {
	set xrange [*<0:0<*]
	set xtics autofreq
	set format x '%+g'
	set xlabel ARG5
}
set yrange [rows + 0.5:0.5]
set grid noy
set errorbars 0
set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#333333' lw 1.5 dt 3
set tmargin at screen 1 - 74.0 / H
set bmargin at screen below / H
left = 7.4 * longest + 18
room = (W - left + 12) / m
set datafile missing NaN
x(c, p, i) = strcol(1) eq title_of[p] && strcol(3) eq name[i] ? column(c) : NaN
do for [p = 1:m] {
	set lmargin at screen (left + (p - 1) * room + 4) / W
	set rmargin at screen (left + p * room - 30) / W
	set title title_of[p]
	unset ytics
	if (p == 1) {
		set ytics nomirror ('' 1)
		do for [k = 1:rows] { set ytics add (row_of[k] k) }
	}
	if (ARG5 ne '') {
		set xtics tic[p] font ',11'
	}
	if (p == m) { set key at screen 0.5, screen (6.0 + 9 * n) / H center center vertical maxrows n }
	plot for [i = 1:n] ARG2 using (x(4, p, i)):(is_row(strcol(2)) + (i - (n + 1) / 2.0) * 0.7 / n):(column(5)):(column(6)) with xerrorbars pt 7 ps (rows > 6 ? 0.6 : 0.8) lw 1.8 lc rgb c_study[i] title name[i]
}
unset multiplot
