# forgetting.gp OUT.svg NAME DIR: what each domain lost by the end.
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
set title ARG2 . ': forgetting'
set ylabel 'perplexity at the end against, %'
set xrange [0.4:N + 0.6]
set format y '%+g'
set yrange [*<0:0<*]
set key samplen 1.6
set style fill solid 1 noborder
rel(c) = 100 * (column('lc') / column(c) - 1)
if (names) {
	set xtics rotate by 60 right ('' 1)
	do for [i = 1:N] { set xtics add (escape(name[i]) i) }
} else {
	 set xlabel "step at which the domain is trained\n "
}
plot 0 with lines lc rgb '#333333' lw 1.5 dt 3 notitle, \
	domains using (column('step') - 0.19):(rel('cpt')):(0.36) with boxes lc rgb c_cpt title 'own step (LC / CPT)', \
	domains using (column('step') + 0.19):(rel('best')):(0.36) with boxes lc rgb '#c9a227' title 'best checkpoint before'
