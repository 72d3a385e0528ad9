#include "outdir.h"

#include <sys/stat.h>

#include "checked.h"
#include "death.h"

static const char *const result[] = {"about", "c", "sub/", "sub/sub/", "sub/sub/b", NULL};

static void begin(const void *path)
{
	dir_begin(path, result);
}

static void empty(const void *path)
{
	dir_empty(path);
}

static void commit(const void *path)
{
	dir_commit(path, "made/of/parts.partial");
}

static void dir_made(void **state)
{
	char *staging = dir_begin("made/of/parts///", result), *old, *leftover;
	struct stat st;

	(void)state;
	assert_string_equal(staging, "made/of/parts.partial");
	put_file("made/of/parts.partial/about", "1", 1);
	make_dirs("made/of/parts.partial/sub/sub");
	put_file("made/of/parts.partial/sub/sub/b", "2", 1);
	assert_int_equal(access("made/of/parts", F_OK), -1);
	assert_int_equal(access("made/of/parts.partial/.unfinished", F_OK), 0);
	assert_dies(begin, "made/of/parts", 1, "another run is writing it, in made/of/parts.partial");
	dir_commit("made/of/parts///", staging);
	free(staging);
	assert_int_equal(access("made/of/parts/.unfinished", F_OK), -1);
	assert_file("made/of/parts/about", "1", 1);
	assert_file("made/of/parts/sub/sub/b", "2", 1);
	assert_int_equal(files("made/of/*"), 3); /* with . and .. */

	staging = dir_begin("made/of/parts", result); /* replaces as a whole */
	put_file("made/of/parts.partial/c", "3", 1);
	assert_file("made/of/parts/about", "1", 1);
	put_file("made/of/parts/thesis", "t", 1); /* meanwhile */
	assert_dies(commit, "made/of/parts", 1, "it holds other things, such as thesis: left alone");
	assert_file("made/of/parts/thesis", "t", 1);
	assert_int_equal(access("made/of/parts.partial/.unfinished", F_OK), 0);
	assert_int_equal(unlink("made/of/parts/thesis"), 0);
	assert_int_equal(rename("made/of/parts.partial", "made/of/aside"), 0);
	make_dirs("made/of/parts.partial"); /* by another run */
	assert_dies(commit, "made/of/parts", 1, "made/of/parts.partial is gone, or another run's");
	assert_int_equal(rename("made/of/aside", "made/of/parts.partial"), 0);
	old = xasprintf("made/of/parts.tmp.%ld", (long)getpid()); /* left by a killed process that had our number */
	make_dirs(old);
	leftover = path_join(old, "about");
	put_file(leftover, "0", 1);
	free(leftover);
	free(old);
	dir_commit("made/of/parts", staging);
	free(staging);
	assert_file("made/of/parts/c", "3", 1);
	assert_int_equal(access("made/of/parts/about", F_OK), -1);
	assert_int_equal(files("made/of/*"), 3);

	free(dir_begin("made/of/parts", result)); /* a second begin finds what the first left */
	put_file("made/of/parts.partial/state", "s", 1);
	free(dir_begin("made/of/parts", result));
	assert_file("made/of/parts.partial/state", "s", 1);
	dir_empty("made/of/parts.partial");
	assert_int_equal(access("made/of/parts.partial/state", F_OK), -1);
	assert_int_equal(unlink("made/of/parts.partial/.unfinished"), 0);
	put_file("made/of/parts.partial/about", "1", 1); /* a result: it is emptied, and what comes then is known as ours */
	dir_empty("made/of/parts.partial");
	assert_int_equal(access("made/of/parts.partial/about", F_OK), -1);
	assert_int_equal(access("made/of/parts.partial/.unfinished", F_OK), 0);
	put_file("made/of/parts.partial/thesis", "t", 1);
	assert_int_equal(unlink("made/of/parts.partial/.unfinished"), 0);
	assert_dies(empty, "made/of/parts.partial", 1, "it holds other things and no about: left alone");
	assert_file("made/of/parts.partial/thesis", "t", 1);
	dir_remove("made");
	assert_int_equal(stat("made", &st), -1);
	dir_remove("made"); /* missing: no error */
}

static void remove_spares_what_links_name(void **state)
{
	(void)state;
	make_dirs("victim/in");
	make_dirs("kept");
	put_file("kept/file", "k", 1);
	assert_int_equal(symlink("../../kept", "victim/in/link"), 0);
	dir_remove("victim");
	assert_int_equal(access("victim", F_OK), -1);
	assert_file("kept/file", "k", 1);
}

static void make(const void *path)
{
	make_dirs(path);
}

static void dir_failures(void **state)
{
	(void)state;
	put_file("plain", "x", 1);
	assert_dies(begin, "plain", 1, "cannot write folder plain: Not a directory");
	assert_dies(begin, ".", 1, "cannot write folder .: it needs a name of its own");
	assert_dies(begin, "..", 1, "needs a name");
	assert_dies(begin, "/", 1, "needs a name");
	assert_dies(begin, "", 1, "needs a name");
	assert_dies(make, "plain/x", 1, "cannot make folder plain");
	assert_dies(make, "plain", 1, "cannot make folder plain: Not a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dir_made),
		cmocka_unit_test(remove_spares_what_links_name),
		cmocka_unit_test(dir_failures),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
