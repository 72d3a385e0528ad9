#include "html.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "reader.h"

#define MAX_EMBEDDED ((size_t)64 << 20) /* bytes of a figure or table */

void html_text(FILE *out, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '-':
			/* a minus where a number begins, and nowhere else */
			if (s[1] >= '0' && s[1] <= '9')
				fputs("\u2212", out);
			else
				fputc('-', out);
			break;
		default:
			fputc(*s, out);
		}
}

/* The same without a change of any sign: for names and hashes. */
void html_name(FILE *out, const char *s)
{
	for (; *s; s++)
		if (*s == '&' || *s == '<' || *s == '>' || *s == '"')
			fprintf(out, "&#%d;", *s);
		else
			fputc(*s, out);
}

void html_name_cell(FILE *out, const char *s)
{
	fputs("<td class=\"l\">", out);
	html_name(out, s);
	fputs("</td>", out);
}

static void put_base64(FILE *out, const unsigned char *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		fputc(digit[v >> 18], out);
		fputc(digit[v >> 12 & 63], out);
		fputc(i + 1 < n ? digit[v >> 6 & 63] : '=', out);
		fputc(i + 2 < n ? digit[v & 63] : '=', out);
	}
}

void html_data_uri(FILE *out, const char *path, const char *type)
{
	size_t n;
	char *data = read_file(path, MAX_EMBEDDED, &n);

	fprintf(out, "data:%s;base64,", type);
	put_base64(out, (const unsigned char *)data, n);
	free(data);
}

void html_figure(FILE *out, const char *folder, const char *base, const char *figure, const char *caption)
{
	char *file, *path, *svg, *box;
	size_t n;
	int width;

	if (!folder)
		return;
	file = base ? xasprintf("%s.%s.svg", base, figure) : xasprintf("%s.svg", figure);
	path = path_join(folder, file);
	svg = read_file(path, MAX_EMBEDDED, &n);
	box = strstr(svg, "viewBox=\"0 0 ");
	fputs("<figure><div class=\"scroll\"><img", out);
	if (box && sscanf(box, "viewBox=\"0 0 %d", &width) == 1 && width > 0 && width < 10000)
		fprintf(out, " style=\"max-width:%dpx\"", width * 6 / 5); /* letters not much larger than the text's */
	fputs(" alt=\"", out);
	html_text(out, caption);
	fputs("\" src=\"data:image/svg+xml;base64,", out);
	put_base64(out, (const unsigned char *)svg, n);
	fputs("\"></div><figcaption>", out);
	html_text(out, caption);
	fputs("</figcaption></figure>\n", out);
	free(svg);
	free(path);
	free(file);
}

const char html_style[] =
	"<style>\n"
	":root{--ink:#1d2329;--soft:#5b6670;--line:#dfe3e7;--wash:#f5f6f7;--better:#1b62a5;--worse:#b4560f}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;max-width:80rem;padding:1.5rem 1.25rem 4rem;color:var(--ink);background:#fff;"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
	"h1{font-size:1.9rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.4rem;margin:3rem 0 .5rem;"
	"padding-top:1rem;border-top:2px solid var(--ink)}h3{font-size:1.05rem;margin:1.8rem 0 .4rem}\n"
	"p,li{max-width:46rem}.lead{font-size:1.1rem;color:#333c44}small,.soft,figcaption{color:var(--soft)}\n"
	"nav a{margin-right:1.1rem;display:inline-block}a{color:#0b5394}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.8rem;margin:1rem 0}\n"
	".tile{border:1px solid var(--line);border-left:5px solid var(--soft);border-radius:4px;padding:.6rem .9rem}\n"
	".tile b{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}\n"
	".tile.better{border-left-color:var(--better)}.tile.better b{color:var(--better)}\n"
	".tile.worse{border-left-color:var(--worse)}.tile.worse b{color:var(--worse)}\n"
	".tile span{font-size:.88rem;color:var(--soft)}\n"
	".grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr));gap:1rem 1.5rem;align-items:start}\n"
	"figure{margin:1rem 0;min-width:0}figure img{display:block;width:100%;height:auto;max-height:46rem;object-fit:contain}\n"
	"figcaption{font-size:.9rem;max-width:46rem;margin-top:.3rem}\n"
	".scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}\n"
	".scroll th.l:first-child,.scroll td.l:first-child{position:sticky;left:0}.scroll td.l:first-child{background:#fff}\n"
	"table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;margin:.5rem 0}\n"
	"th,td{padding:.28rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:baseline;white-space:nowrap}\n"
	"th{font-weight:600;background:var(--wash)}th.l,td.l{text-align:left}td.m{white-space:normal;min-width:10rem;"
	"max-width:36rem;line-height:1.35}td small{color:inherit;opacity:.85}td.m small{color:var(--soft);opacity:1}\n"
	"table.matrix{font-size:.75rem}table.matrix td,table.matrix th{padding:.12rem .35rem;border:0}\n"
	"table.matrix td.d{outline:2px solid #111;outline-offset:-2px;font-weight:700}\n"
	"table.matrix td.no{background:repeating-linear-gradient(45deg,#fff 0 3px,#c9ced3 3px 4px)}\n"
	"table.matrix th.c{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:.35rem .12rem}\n"
	"details{margin:.8rem 0}summary{cursor:pointer;font-weight:600;padding:.3rem 0}\n"
	"code{font-size:.85em;overflow-wrap:anywhere}dl.about{font-size:.88rem}dl.about dt{font-weight:600}"
	"dl.about dd{margin:0 0 .35rem 1rem;overflow-wrap:anywhere}\n"
	"@media(max-width:40rem){body{padding:1rem .8rem 3rem;font-size:15px}h1{font-size:1.5rem}"
	"figure img{min-width:36rem;max-height:none}"
	".scroll table:not(.findings) td.l:not(.m){white-space:normal;overflow-wrap:anywhere;max-width:6.5rem}"
	".tile b{font-size:1.35rem}.tiles{grid-template-columns:repeat(auto-fit,minmax(9rem,1fr))}}\n"
	"@media print{body{max-width:none;font-size:10pt;padding:0}nav{display:none}figure,.tile,tr{break-inside:avoid}"
	"h2,h3,h2+p,h3+p,summary,summary+p,tr:first-child{break-after:avoid}.scroll{overflow:visible}"
	"figure img{width:auto;max-width:100%!important;max-height:8.5cm}"
	".grid.small{grid-template-columns:1fr 1fr;gap:.3rem 1rem}.grid.small figcaption{font-size:7.5pt}"
	"details::details-content{content-visibility:visible;display:block;block-size:auto}summary{list-style:none}.wide{display:none}"
	"dl.about{columns:2;font-size:7.5pt}dl.about dt{break-after:avoid}"
	"td,th,.tile{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n"
	"</style>\n";
