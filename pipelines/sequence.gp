# sequence.gp OUT.svg NAME DIR: FT, CPT and LC of every domain along the sequence.
load 'style.gp'
domains = ARG3 . '/per-domain.tsv'
stats domains using 1 nooutput
N = int(STATS_max)
names = N <= 40
array name[N]
stats domains using (name[int(column('step'))] = strcol('domain'), 0) nooutput
longest = 0
do for [i = 1:N] {
	name[i] = cut(name[i], 20)
	longest = strlen(name[i]) > longest ? strlen(name[i]) : longest
}
eval svg(640, names ? 330 + 6 * longest : 370)
set output ARG1
set title ARG2 . ': each domain, against zero-shot'
set ylabel 'perplexity against zero-shot, %'
set xrange [0.4:N + 0.6]
set format y '%+g'
set yrange [*<0:0<*]
set key samplen 1.6
rel(c) = 100 * (column(c) / column('zs') - 1)
size = N <= 40 ? 0.75 : 0.4
if (names) {
	set xtics rotate by 60 right ('' 1)
	do for [i = 1:N] { set xtics add (escape(name[i]) i) }
} else {
	 set xlabel "step at which the domain is trained\n "
}
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	domains using 'step':(rel('ft')) with points pt 6 ps size lw 1.4 lc rgb c_ft title 'FT: it alone', \
	domains using 'step':(rel('cpt')) with linespoints pt 7 ps size lw 1.8 lc rgb c_cpt title 'CPT: own step', \
	domains using 'step':(rel('lc')) with linespoints pt 5 ps size lw 1.8 lc rgb c_lc title 'LC: the end'
