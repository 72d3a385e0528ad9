# gnuplot -c scale.gp SCALE.tsv OUT.svg: the curves of `bench.py scale`, time and peak memory on one axis; dotted: growth by the power that
# the README speaks of, through the last point.
set terminal svg size 900,860 dynamic font 'sans-serif,12' background '#ffffff'
set output ARG2
set datafile separator "\t"
set multiplot layout 2,2 margins 0.08,0.98,0.07,0.97 spacing 0.13,0.12
set logscale xy
set grid ytics lc rgb '#dddddd'
set key top left reverse Left
set format y '%g'
curves = "context batch parameters domains"
labels = "'tokens in a block (one block a step)' 'blocks in a step (256 tokens each)' 'parameters (GPT-2 S, M, L, XL)' 'domains in a matrix'"
powers = "1 1 1 2"
cell(curve, column, which) = real(system(sprintf("awk -F'\t' '$1 == \"%s\" { print $%d }' '%s' | %s -n 1", curve, column, ARG1, which)))
do for [i = 1:4] {
	curve = word(curves, i)
	power = word(powers, i) + 0
	points = sprintf("< awk -F'\t' '$1 == \"%s\"' '%s'", curve, ARG1)
	set xlabel word(labels, i)
	set ylabel (i == 4 ? 'seconds, GB' : 'seconds a step, GB')
	set format x (i == 3 ? '%.0s%c' : '%.0f')
	from = cell(curve, 2, 'head')
	to = cell(curve, 2, 'tail')
	set xrange [from / 1.15 : to * 1.15]
	set xtics (from)
	set for [j = 1:4] xtics add (from * 2 ** j)
	plot cell(curve, 3, 'tail') * (x / to) ** power with lines dt 3 lc rgb '#00796b' notitle, \
		cell(curve, 4, 'tail') / 1e9 * (x / to) ** power with lines dt 3 lc rgb '#7b2d8b' notitle, \
		points using 2:3 with linespoints pt 7 ps 0.6 lw 2 lc rgb '#00796b' title 'time', \
		points using 2:($4 / 1e9) with linespoints pt 5 ps 0.6 lw 2 lc rgb '#7b2d8b' title 'memory'
}
unset multiplot
