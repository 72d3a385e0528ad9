# What all figures share; figures.sh sets GNUPLOT_LIB so that it is found.
set encoding utf8
set datafile separator tab
set datafile missing '-'
set datafile columnheaders
set border 3 lc rgb '#555555'
set tics nomirror out scale 0.5 textcolor rgb '#333333'
set grid back lc rgb '#e4e4e4' lw 1 dt 1
set key bmargin center horizontal noenhanced textcolor rgb '#222222' samplen 2.4
set title noenhanced textcolor rgb '#111111'
set xlabel textcolor rgb '#333333'
set ylabel textcolor rgb '#333333'
# The terminal for a figure of w x h pixels in the file ARG1: SVG, or PDF if it is named so (96 pixels an inch).
svg(w, h) = ARG1[strlen(ARG1) - 3:] eq '.pdf' \
	? sprintf("set terminal pdfcairo size %.4fin,%.4fin noenhanced font 'DejaVu Sans,9.75' background '#ffffff'", w / 96.0, h / 96.0) \
	: sprintf("set terminal svg size %d,%d dynamic noenhanced font 'DejaVu Sans,Helvetica,Arial,sans-serif,13' background '#ffffff'", w, h)

# Perplexity against zero-shot in percent, from a gain in log-perplexity.
pct(gain) = 100 * (exp(-gain) - 1)

# The scale of the heat maps: blue is better, orange is worse. As in heatmap.c.
set palette defined (-3 '#084081', -2 '#2b7bba', -1 '#97c5df', 0 '#f7f7f5', 1 '#fabe78', 2 '#dd741c', 3 '#8c3704')

# Models (ZS is the line at 0), and sequences that are compared.
c_ft = '#4a5560'
c_cpt = '#00796b'
c_lc = '#7b2d8b'
array c_study[6] = ['#00796b', '#7b2d8b', '#b8860b', '#c2185b', '#37474f', '#5d7f1b']

# A name as a tic's label, where % would start a format. One that is too long loses its L1 (L1__L2) or its end.
escape(s) = strstrt(s, '%') ? substr(s, 1, strstrt(s, '%')) . '%' . escape(substr(s, strstrt(s, '%') + 1, strlen(s))) : s
tail(s, n) = strlen(s) > n && strstrt(s, '__') ? substr(s, strstrt(s, '__') + 2, strlen(s)) : s
head(s, n) = strlen(s) > n ? substr(s, 1, n - 1) . '…' : s
cut(s, n) = head(tail(s, n), n)

# Tics of a scale of colours that ends at a change of limit, in percent.
nice(limit) = limit > 2 ? 100 : limit > 1 ? 50 : limit > 0.45 ? 20 : limit > 0.2 ? 10 : limit > 0.1 ? 5 : limit > 0.04 ? 2 : 1

# Text on a colour of that scale, for a change of x.
ink(x, limit) = abs(x) > 0.55 * limit ? 0xffffff : 0x111111

# A change in percent, to be printed.
num(gain) = gain == gain ? (abs(pct(gain)) < 0.5 ? '0' : sprintf('%+.0f', pct(gain))) : ''
