# distance.gp OUT.svg LIST: transfer by the distance in the sequence.
# LIST: a line a sequence, the directory of its tables, a tab, its name (which may begin with a '#').
load 'style.gp'
eval svg(640, 410)
set output ARG1
set title 'Transfer by distance in the sequence, averaged over checkpoints'
set ylabel 'perplexity against zero-shot, %'
set xlabel "← steps until the domain is trained    |    steps since it was trained →\n "
set yzeroaxis lc rgb '#999999' lw 1 dt 3
set format y '%+g'
set yrange [*<0:0<*]
unset datafile columnheaders
stats ARG2 using 0 nooutput
n = int(STATS_records)
array name[n]
array dir[n]
stats ARG2 using (dir[int($0) + 1] = strcol(1), name[int($0) + 1] = strcol(2), 0) nooutput
set datafile columnheaders
file(i) = dir[i] . '/distance.tsv'
far = 0
do for [i = 1:n] {
	stats file(i) using 1 nooutput
	far = STATS_max > far ? STATS_max : far
}
set xrange [-far - 0.3:far + 0.3]
if (far < 5) { set xtics 1 }
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	for [i = 1:n] file(i) using 'distance':(pct(column('transfer'))) with linespoints pt 7 ps 0.26 lw 2.4 lc rgb c_study[(i - 1) % 6 + 1] title name[i], \
	for [i = 1:n] file(i) using (column('distance') == 0 ? 0 : NaN):(pct(column('transfer'))) with points pt 7 ps 0.8 lc rgb c_study[(i - 1) % 6 + 1] notitle
