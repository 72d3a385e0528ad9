# gnuplot -c scale.gp SCALE.tsv OUT.svg: the curves of `bench.py scale`, time and peak memory
set terminal svg size 900,900 dynamic font 'sans-serif,12' background '#ffffff'
set output ARG2
set datafile separator "\t"
set multiplot layout 2,2 margins 0.09,0.92,0.08,0.95 spacing 0.17,0.12
set logscale x 2
set logscale y
set y2tics
set logscale y2
set ytics nomirror
set grid ytics lc rgb '#dddddd'
set key top left
curves = "context batch parameters domains"
labels = "'tokens in a block (one block a step)' 'blocks in a step (256 tokens each)' 'parameters (GPT-2 S, M, L, XL; bf16 weights and moments)' 'domains in a matrix'"
do for [i = 1:4] {
	curve = word(curves, i)
	set xlabel word(labels, i)
	set ylabel (i == 4 ? 'seconds' : 'seconds a step') textcolor rgb '#00796b'
	set y2label 'peak memory, MB' textcolor rgb '#7b2d8b'
	set format x (i == 3 ? '%.0s%c' : '%.0f')
	points = sprintf("< awk -F'\t' '$1 == \"%s\"' '%s'", curve, ARG1)
	plot points using 2:3 with linespoints pt 7 ps 0.6 lw 2 lc rgb '#00796b' title 'time', \
		points using 2:($4/2**20) axes x1y2 with linespoints pt 5 ps 0.6 lw 2 lc rgb '#7b2d8b' title 'memory'
}
unset multiplot
