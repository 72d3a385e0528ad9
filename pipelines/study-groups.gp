# study-groups.gp OUT GROUPS.tsv: what each group of runs learned, forgot and has left, with intervals.
load 'style.gp'
ours(what) = strcol('measure') eq what && strcol('scope') eq 'all'
n = 0
longest = 0
array name[1000]
stats ARG2 using (ours('LC-ZS') ? (n = n + 1, name[n] = strcol('group'), 0) : NaN) nooutput
do for [i = 1:n] { longest = strlen(name[i]) > longest ? strlen(name[i]) : longest }
H = 170 + 44 * n
W = 640
eval svg(W, H)
set output ARG1
set title 'Learned, forgotten and left over, with 95 % intervals'
set xlabel "change of perplexity, %\n "
set format x '%+g'
set lmargin at screen (7.2 * (longest > 46 ? 46 : longest) + 24) / W
set yrange [n + 0.6:0.4]
set ytics ('' 1)
do for [i = 1:n] { set ytics add (escape(name[i]) i) }
set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#333333' lw 1.5 dt 3
set errorbars 0
set key maxrows 1 samplen 1 width -2
row = 0
at(what, shift) = ours(what) ? (row = row + 1, row + shift) : NaN
chg(c) = 100 * (exp(column(c)) - 1)
whiskers = "using (row = int($0) == 0 ? 0 : row, ours('%s') ? chg('value') : 1/0):(at('%s', %g)):(chg('lo')):(chg('hi')) with xerrorbars pt %d ps 0.9 lw 1.8 lc rgb '%s' title '%s'"
eval 'plot ARG2 ' . sprintf(whiskers, 'CPT-ZS', 'CPT-ZS', -0.22, 7, c_cpt, 'learned: CPT / ZS') . ", '' " \
	. sprintf(whiskers, 'LC-CPT', 'LC-CPT', 0, 9, '#b8860b', 'forgotten: LC / CPT') . ", '' " . sprintf(whiskers, 'LC-ZS', 'LC-ZS', 0.22, 5, c_lc, 'left over: LC / ZS')
