# course.gp OUT.svg LIST: domains seen and not yet seen after each step, a pair of lines for each sequence.
# LIST: a line a sequence, the directory of its tables, a tab, its name (which may begin with a '#').
load 'style.gp'
set title 'Domains seen, and not yet seen, after each step'
set ylabel 'perplexity against zero-shot, %'
set xlabel "step\n "
set format y '%+g'
set yrange [*<0:0<*]
unset datafile columnheaders
stats ARG2 using 0 nooutput
n = int(STATS_records)
array name[n]
array dir[n]
stats ARG2 using (dir[int($0) + 1] = strcol(1), name[int($0) + 1] = strcol(2), 0) nooutput
set datafile columnheaders
file(i) = dir[i] . '/checkpoints.tsv'
eval svg(640, 390 + 20 * n)
set output ARG1
last = 1
array back[n] # steps that were measured: a line alone does not show one
array ahead[n]
do for [i = 1:n] {
	back[i] = 0
	ahead[i] = 0
	stats file(i) using (last = column('step') > last ? column('step') : last, back[i] = back[i] + (column('backward_n') > 0), ahead[i] = ahead[i] + (column('forward_n') > 0), 0) nooutput
}
set xrange [0.8:last + 0.2]
set xtics (1)
do for [i = 1:int(last)] { if (last < 21 || i % (last < 60 ? 5 : 20) == 0) { set xtics add (i) } }
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	for [i = 1:n] file(i) using 'step':(pct(column('backward'))) with linespoints pt 7 ps (back[i] < 41 ? 0.45 : 0.01) lw 2.4 lc rgb c_study[(i - 1) % 6 + 1] title name[i] . ': seen before', \
	for [i = 1:n] file(i) using 'step':(pct(column('forward'))) with linespoints pt 7 ps (ahead[i] < 41 ? 0.35 : 0.01) lw 1.8 dt (5, 4) lc rgb c_study[(i - 1) % 6 + 1] title name[i] . ': not seen yet'
