# study-explain.gp OUT EXPLAIN.tsv LIST: rank correlations of transfer and forgetting with what could explain them.
load 'style.gp'
unset datafile columnheaders
n = 0
array name[6]
stats ARG3 using (n < 6 ? (n = n + 1, name[n] = strcol(1), 0) : NaN) nooutput
set datafile columnheaders
array outcome[3] = ['forgetting', 'backward', 'forward']
array by[4] = ['position', 'size', 'similarity-to-base', 'similarity-to-previous']
array text[4] = ['position', 'size', 'similar to base', 'similar to previous']
W = 760
H = 130 + 20 * n + 4 * (26 + 22 * n)
eval svg(W, H)
set output ARG1
set multiplot title 'What explains forgetting and transfer? Partial rank correlations, with 95 % intervals' noenhanced
unset key
set xrange [-1:1]
set xtics -1, 0.5
set format x '%g'
set yrange [4.5:0.5]
set ytics ('' 1)
do for [k = 1:4] { set ytics add (text[k] k) }
set grid noy
set errorbars 0
set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#333333' lw 1.5 dt 3
set tmargin at screen 1 - 74.0 / H
set bmargin at screen (50.0 + 20 * n) / H
row(i) = (k = strcol('predictor') eq by[1] ? 1 : strcol('predictor') eq by[2] ? 2 : strcol('predictor') eq by[3] ? 3 : 4, k + (i - (n + 1) / 2.0) * 0.7 / n)
ours(p, i) = strcol('correlation') eq 'partial' && strcol('outcome') eq outcome[p] && strcol('group') eq name[i]
left = 140.0
room = (W - left - 12) / 3
do for [p = 1:3] {
	set lmargin at screen (left + (p - 1) * room + 4) / W
	set rmargin at screen (left + p * room - 14) / W
	set title outcome[p]
	if (p == 2) { unset ytics; set ytics ('' 1, '' 2, '' 3, '' 4); set key at screen 0.5, screen (10.0 + 10 * n) / H center center vertical maxrows n } else { unset key }
	plot for [i = 1:n] ARG2 using (ours(p, i) ? column('value') : 1/0):(row(i)):(column('lo')):(column('hi')) with xerrorbars pt 7 ps 0.8 lw 1.8 lc rgb c_study[i] title name[i]
}
unset multiplot
