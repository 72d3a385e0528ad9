#include "runs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"
#include "json.h"
#include "text.h"
#include "tsv.h"
#include "weights.h"

static const char *const setting_names[N_SETTINGS] = {"model",  "order",    "seed",   "batch",    "lr",
                                                      "epochs", "balanced", "policy", "optimizer"};

static bool is_random(const char *order)
{
	return !strncmp(order, "random", 6) && (!order[6] || order[6] == ':');
}

bool group_is(const struct group *g, const char *kind)
{
	const char *order = g->set[SET_ORDER];
	size_t n = strlen(kind);

	return !strncmp(order, kind, n) && (!order[n] || order[n] == ':');
}

bool groups_differ_in(const struct group *a, const struct group *b, enum setting setting)
{
	for (int i = 0; i < N_SETTINGS; i++)
		if (i != SET_SEED && (strcmp(a->set[i], b->set[i]) != 0) != (i == (int)setting))
			return false;
	return true;
}

static int first_steps(const struct matrix *m)
{
	int n = 1;

	while (n < m->n && m->domain[n].portion_id == m->domain[0].portion_id)
		n++;
	for (int j = n; j < m->n; j++)
		if (m->domain[j].portion_id != m->domain[n].portion_id)
			return 0;
	return n < m->n ? n : 0;
}

int steps_of_first_portion(const struct runs *s, const struct group *g)
{
	const struct matrix *one = s->v[g->run[0]].m, *other;
	int n = first_steps(one);

	for (int i = 1; i < g->n; i++) {
		other = s->v[g->run[i]].m;
		if (first_steps(other) != n || strcmp(other->domain[0].portion, one->domain[0].portion))
			return 0;
	}
	return n;
}

/* --- domains ------------------------------------------------------------------------------------ */

static int find_domain(const struct runs *s, const char *name)
{
	for (int d = 0; d < s->n_domains; d++)
		if (!strcmp(s->domain[d], name))
			return d;
	return -1;
}

/* The domains of the first run's matrix, in its sequence, are the study's. */
static void take_domains(struct runs *s, const struct matrix *m)
{
	size_t n = (size_t)m->n;

	s->n_domains = m->n;
	s->domain = xcalloc(n, sizeof *s->domain);
	s->portion_id = xcalloc(n, sizeof *s->portion_id);
	s->size = xcalloc(n, sizeof *s->size);
	s->similarity = xcalloc(n, sizeof *s->similarity);
	s->n_portions = m->n_portions;
	s->portion = xcalloc((size_t)m->n_portions, sizeof *s->portion);
	for (int i = 0; i < m->n_portions; i++)
		s->portion[i] = xstrdup(m->portion[i]);
	for (int d = 0; d < m->n; d++) {
		s->domain[d] = xstrdup(m->domain[d].name);
		s->portion_id[d] = m->domain[d].portion_id;
		s->size[d] = s->similarity[d] = NAN;
	}
}

/* The first domain of whose text a and b scored other tokens; NULL: none. *kin: of some domain the ids are the same in both. */
static const char *other_tokens(const struct runs *s, const struct run *a, const struct run *b, bool *kin)
{
	const char *other = NULL;

	*kin = false;
	for (int d = 0; d < s->n_domains; d++) {
		const struct matrix_domain *x = &a->m->domain[a->at[d]], *y = &b->m->domain[b->at[d]];
		bool same = x->data_hash && y->data_hash && !strcmp(x->data_hash, y->data_hash);

		*kin = *kin || same;
		if (!other && x->data_hash && y->data_hash && (!same || x->targets != y->targets))
			other = s->domain[d];
	}
	return other;
}

bool groups_same_tokens(const struct runs *s, const struct group *a, const struct group *b)
{
	bool kin;

	return !other_tokens(s, &s->v[a->run[0]], &s->v[b->run[0]], &kin);
}

/* Ids differ by right where tokenizers do: those of a model do not, nor those that agree on some domain. */
static void check_test_data(const struct runs *s, const struct run *a, const struct run *b, const char *where)
{
	bool kin;
	const char *domain = other_tokens(s, a, b, &kin);

	if (domain && (kin || !strcmp(a->set[SET_MODEL], b->set[SET_MODEL])))
		die_input("%s: domain %s: test data differ from those of run %s", where, domain, a->name);
}

static void place_domains(const struct runs *s, struct run *r, const char *where)
{
	if (r->m->n != s->n_domains)
		die_input("%s: %d domains, but %d in the first run", where, r->m->n, s->n_domains);
	r->at = xcalloc((size_t)s->n_domains, sizeof *r->at);
	for (int j = 0; j < r->m->n; j++) {
		int d = find_domain(s, r->m->domain[j].name);

		if (d < 0)
			die_input("%s: domain %s: the first run does not know it", where, r->m->domain[j].name);
		r->at[d] = j;
	}
	if (strcmp(r->m->protocol, s->v[0].m->protocol))
		die_input("%s: protocol %s: cannot be compared with %s of the first run", where, r->m->protocol, s->v[0].m->protocol);
	for (int i = 0; i < s->n; i++)
		check_test_data(s, &s->v[i], r, where);
}

static void read_sizes(struct runs *s, const char *path)
{
	struct tsv *t = tsv_read(path, "domains");
	int c_domain = tsv_column(t, "domain"), c_bytes = tsv_column(t, "train_bytes");

	for (int i = 0; i < t->n_rows; i++) {
		int d = find_domain(s, tsv_string(t, i, c_domain));

		if (d < 0)
			continue;
		if (!isnan(s->size[d]))
			tsv_die(t, i, "%s stands twice", s->domain[d]);
		s->size[d] = (double)tsv_int(t, i, c_bytes);
		if (s->size[d] < 0)
			tsv_die(t, i, "train_bytes is below 0");
	}
	tsv_free(t);
}

static void read_similarities(struct runs *s, const char *path)
{
	struct tsv *t = tsv_read(path, "vectors");
	int c_domain = tsv_column(t, "domain"), c_first = tsv_column(t, "v0"), base = -1;

	for (int i = 0; i < t->n_rows; i++)
		if (!strcmp(tsv_string(t, i, c_domain), "@base")) {
			if (base >= 0)
				tsv_die(t, i, "@base stands twice");
			base = i;
		}
	for (int i = 0; i < t->n_rows && base >= 0; i++) {
		int d = find_domain(s, tsv_string(t, i, c_domain));
		double xy = 0, xx = 0, yy = 0;

		for (int c = c_first; c < t->n_columns && t->column[c][0] == 'v'; c++) {
			double x = tsv_real(t, i, c), y = tsv_real(t, base, c);

			xy += x * y;
			xx += x * x;
			yy += y * y;
		}
		if (d >= 0 && !isnan(s->similarity[d]))
			tsv_die(t, i, "%s stands twice", s->domain[d]);
		if (d >= 0 && xx > 0 && yy > 0)
			s->similarity[d] = xy / sqrt(xx) / sqrt(yy);
	}
	tsv_free(t);
}

/* --- groups ------------------------------------------------------------------------------------- */

/* Masks and tables that transformers saved with the parameters. */
static bool is_buffer(const char *name)
{
	static const char *const ending[] = {".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq", "embeddings.position_ids",
	                                     "embeddings.token_type_ids"};

	for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
		if (ends_with(name, ending[i]))
			return true;
	return false;
}

/* In the weights' headers; not a number where there are none. */
static double count_parameters(const char *dir)
{
	char *one = path_join(dir, "model.safetensors"), *index = path_join(dir, "model.safetensors.index.json");
	double n = (double)NAN;

	if (access(one, F_OK) == 0 || access(index, F_OK) == 0) {
		struct weights *w = weights_open(dir);

		n = 0;
		for (size_t i = 0; i < weights_count(w); i++) {
			const struct st_tensor *t = weights_at(w, i);

			if (!is_buffer(t->name))
				n += (double)(t->bytes / st_dtype_size(t->dtype));
		}
		weights_close(w);
	}
	free(one);
	free(index);
	return n;
}

/* What is not given. */
static void look_at_model(struct group *g, const char *dir)
{
	char *config = path_join(dir, "config.json");

	if (!strcmp(g->family, "-") && access(config, R_OK) == 0) {
		struct json *doc = json_read(config, 1 << 20);

		free(g->family);
		g->family = xstrdup(json_get_string(doc, json_root(doc), "model_type", "-"));
		json_free(doc);
	}
	free(config);
	if (isnan(g->parameters))
		g->parameters = count_parameters(dir);
}

static bool is_taken(const struct runs *s, const char *name)
{
	for (int i = 0; i < s->n_groups; i++)
		if (!strcmp(s->group[i].name, name))
			return true;
	return false;
}

/* "small-batch16/random" for the run small-batch16/random-1; the run's own name if another group has that one. */
static char *group_name(const struct runs *s, const struct run *r)
{
	const char *slash = strrchr(r->name, '/');
	bool random = is_random(r->set[SET_ORDER]) && slash;
	char *name = random ? xasprintf("%.*s/random", (int)(slash - r->name), r->name) : xstrdup(r->name);

	if (is_taken(s, name)) {
		free(name);
		name = xstrdup(r->name);
	}
	if (is_taken(s, name))
		die_input("run %s: a group of other runs has this name", r->name);
	return name;
}

static void put_into_group(struct runs *s, int i, const char *varied, const char *model_dir, double parameters, const char *family)
{
	struct run *r = &s->v[i];
	struct group *g, one = {.parameters = parameters, .family = xstrdup(family), .varied = varied};

	memcpy(one.set, r->set, sizeof one.set);
	if (is_random(r->set[SET_ORDER]))
		one.set[SET_ORDER] = "random";
	for (int k = 0; k < s->n_groups; k++) {
		bool same = true;

		g = &s->group[k];
		for (int c = 0; c < N_SETTINGS; c++)
			same = same && (c == SET_SEED || !strcmp(g->set[c], one.set[c]));
		if (!same)
			continue;
		g->run = xreallocarray(g->run, (size_t)g->n + 1, sizeof *g->run);
		g->run[g->n++] = i;
		free(one.family);
		return;
	}
	one.name = group_name(s, r);
	s->group = xreallocarray(s->group, (size_t)s->n_groups + 1, sizeof *s->group);
	g = &s->group[s->n_groups++];
	*g = one;
	g->run = xcalloc(1, sizeof *g->run);
	g->run[0] = i;
	g->n = 1;
	if (strcmp(model_dir, "-"))
		look_at_model(g, model_dir);
}

static const char *cell(const struct tsv *t, int row, const char *column)
{
	int c = tsv_find_column(t, column);

	return c < 0 ? "-" : tsv_string(t, row, c);
}

/* From the folder of the table at path; you free() it. */
static char *beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	if (*name == '/' || !slash)
		return xstrdup(name);
	return xasprintf("%.*s/%s", (int)(slash - path), path, name);
}

struct runs *runs_read(const char *path, const char *domains, const char *vectors, bool partial)
{
	struct runs *s = xcalloc(1, sizeof *s);
	struct tsv *t = s->table = tsv_read(path, "study");
	int c_run = tsv_column(t, "run"), c_matrix = tsv_column(t, "matrix");

	s->v = xcalloc((size_t)t->n_rows + 1, sizeof *s->v);
	for (int i = 0; i < t->n_rows; i++) {
		struct run *r = &s->v[s->n];
		char *dir = beside(path, tsv_string(t, i, c_matrix)), *about = path_join(dir, "matrix.tsv"), *model;
		bool there = access(about, R_OK) == 0;
		const char *parameters = cell(t, i, "parameters");

		free(about);
		if (!there && !partial)
			tsv_die(t, i, "run %s: no matrix in %s (see --partial)", tsv_string(t, i, c_run), dir);
		if (!there) {
			s->missing++;
			free(dir);
			continue;
		}
		r->name = tsv_string(t, i, c_run);
		for (int k = 0; k < s->n; k++)
			if (!strcmp(s->v[k].name, r->name))
				tsv_die(t, i, "run stands twice: %s", r->name);
		for (int k = 0; k < N_SETTINGS; k++)
			r->set[k] = cell(t, i, setting_names[k]);
		r->m = matrix_load(dir);
		if (!s->domain)
			take_domains(s, r->m);
		place_domains(s, r, dir);
		free(dir);
		dir = beside(path, cell(t, i, "tables"));
		r->along = along_read(dir, r->m);
		s->n++;
		for (int k = 0; k < s->n; k++)
			along_check_same(s->v[k].along, s->v[k].name, r->along, dir);
		model = beside(path, cell(t, i, "model_dir"));
		put_into_group(s, s->n - 1, cell(t, i, "varied"), strcmp(cell(t, i, "model_dir"), "-") ? model : "-",
		               strcmp(parameters, "-") ? tsv_real(t, i, tsv_column(t, "parameters")) : NAN, cell(t, i, "family"));
		free(model);
		free(dir);
	}
	if (s->n == 0)
		die_input("%s: no run is complete", path);
	if (domains)
		read_sizes(s, domains);
	if (vectors)
		read_similarities(s, vectors);
	return s;
}

void runs_free(struct runs *s)
{
	for (int i = 0; i < s->n; i++) {
		matrix_free(s->v[i].m);
		along_free(s->v[i].along);
		free(s->v[i].at);
	}
	for (int g = 0; g < s->n_groups; g++) {
		free(s->group[g].name);
		free(s->group[g].family);
		free(s->group[g].run);
	}
	for (int d = 0; d < s->n_domains; d++)
		free(s->domain[d]);
	for (int p = 0; p < s->n_portions; p++)
		free(s->portion[p]);
	free(s->domain);
	free(s->portion);
	free(s->portion_id);
	free(s->size);
	free(s->similarity);
	free(s->group);
	free(s->v);
	tsv_free(s->table);
	free(s);
}
