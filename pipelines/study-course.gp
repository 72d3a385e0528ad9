# study-course.gp OUT CHECKPOINTS.tsv LIST: domains seen and not yet seen after each step, with intervals, for each group of LIST.
load 'style.gp'
set title 'Domains seen, and not yet seen, after each step, with 95 % intervals'
set ylabel 'perplexity against zero-shot, %'
set xlabel "step\n "
set format y '%+g'
set yrange [*<0:0<*]
set key maxrows 6
unset datafile columnheaders
n = 0
array name[6]
stats ARG3 using (n < 6 ? (n = n + 1, name[n] = strcol(1), 0) : NaN) nooutput
eval svg(640, 390 + 36 * n)
set output ARG1
set datafile columnheaders
stats ARG2 using 'step' nooutput
set xrange [0.8:STATS_max + 0.2]
if (STATS_max < 9) { set xtics 1 }
of(i, c) = strcol('group') eq name[i] ? pct(column(c)) : 1/0
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	for [i = 1:n] ARG2 using 'step':(of(i, 'backward_lo')):(of(i, 'backward_hi')) with filledcurves fs transparent solid 0.16 noborder lc rgb c_study[i] notitle, \
	for [i = 1:n] ARG2 using 'step':(of(i, 'forward_lo')):(of(i, 'forward_hi')) with filledcurves fs transparent solid 0.08 noborder lc rgb c_study[i] notitle, \
	for [i = 1:n] ARG2 using 'step':(of(i, 'backward')) with lines lw 2.4 lc rgb c_study[i] title name[i] . ': seen before', \
	for [i = 1:n] ARG2 using 'step':(of(i, 'forward')) with lines lw 1.8 dt (5, 4) lc rgb c_study[i] title name[i] . ': not seen yet'
