# study-distance.gp OUT DISTANCE.tsv LIST: transfer by the distance in the sequence, a line and its interval for each group of LIST.
load 'style.gp'
eval svg(640, 470)
set output ARG1
set title 'Transfer by distance in the sequence, with 95 % intervals'
set ylabel 'perplexity against zero-shot, %'
set xlabel "← steps until the domain is trained    |    steps since it was trained →\n "
set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#999999' lw 1 dt 3
set format y '%+g'
set yrange [*<0:0<*]
set key maxrows 3
unset datafile columnheaders
n = 0
array name[6]
stats ARG3 using (n < 6 ? (n = n + 1, name[n] = strcol(1), 0) : NaN) nooutput
set datafile columnheaders
stats ARG2 using 'distance' nooutput
set xrange [STATS_min - 0.3:STATS_max + 0.3]
if (STATS_max < 5) { set xtics 1 }
of(i, c) = strcol('group') eq name[i] ? pct(column(c)) : 1/0
set datafile missing NaN
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	for [i = 1:n] ARG2 using 'distance':(of(i, 'lo')):(of(i, 'hi')) with filledcurves fs transparent solid 0.16 noborder lc rgb c_study[i] notitle, \
	for [i = 1:n] ARG2 using 'distance':(of(i, 'transfer')) with lines lw 2.2 lc rgb c_study[i] title name[i]
