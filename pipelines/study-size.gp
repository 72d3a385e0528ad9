# study-size.gp OUT LIST: what models of several sizes learned and forgot.
# LIST: a line a curve: its name, a tab, 1 (learned) or 2 (forgotten), a tab, 1 (similar) or 2 (random), a tab, its file with
# columns parameters, value, lo, hi.
load 'style.gp'
eval svg(640, 430)
set output ARG1
set title 'By size of the model, with 95 % intervals'
set xlabel "parameters\n "
set ylabel 'change of perplexity, %'
set format y '%+g'
set format x '%.0s %c'
set yrange [*<0:0<*]
set key maxrows 2
set errorbars small
unset datafile columnheaders
n = 0
array name[4]
array what[4]
array order[4]
array file[4]
stats ARG2 using (n = n + 1, name[n] = strcol(1), what[n] = column(2), order[n] = column(3), file[n] = strcol(4), 0) nooutput
min = 1e30
tics = ''
max = 0
do for [i = 1:n] {
	stats file[i] using 1 nooutput
	tics = tics . (i > 1 ? '' : STATS_records > 0 ? sprintf("set xtics add ('%s' %g, '%s' %g)", gprintf('%.1s %c', STATS_min), STATS_min, gprintf('%.1s %c', STATS_max), STATS_max) : '')
	min = STATS_min < min ? STATS_min : min
	max = STATS_max > max ? STATS_max : max
}
set logscale x
set xtics ('' min)
eval tics
set xrange [min / 1.4:max * 1.4]
set xzeroaxis lc rgb '#333333' lw 1.5 dt 3
chg(c) = 100 * (exp(column(c)) - 1)
curves = "plot "
do for [i = 1:n] {
	curves = curves . (i > 1 ? ', ' : '') . sprintf("file[%d] using ($1 * %g):(chg(2)):(chg(3)):(chg(4)) with yerrorlines lw 1.8 pt %d dt %d lc rgb '%s' title name[%d]", \
		i, 1 + 0.02 * (2 * what[i] + order[i] - 4.5), what[i] == 1 ? 7 : 9, order[i] == 1 ? 1 : 3, what[i] == 1 ? c_cpt : '#b8860b', i)
}
eval curves
