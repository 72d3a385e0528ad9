/* What stands in a model directory beside the weights: configuration, tokenizer, provenance (palimpsest.json). */
#ifndef PALIMPSEST_MODELDIR_H
#define PALIMPSEST_MODELDIR_H

#include <stdio.h>

/* All that tools write into a model directory, for dir_check_replaceable(); the first is in those alone that a tool made. */
extern const char *const modeldir_files[];

/* Copies config.json and, if there, the tokenizer's files and generation_config.json, byte for byte. Each atomic. TO NULL: reads them. */
void modeldir_copy(const char *from, const char *to);
void modeldir_copy_tokenizer(const char *from, const char *to); /* the tokenizer's files alone */

/* Are all files there that modeldir_copy() and modeldir_provenance() will read, and well formed? If not, they end the tool, as this does. */
void modeldir_check(const char *from);

/*
 * Writes TO/palimpsest.json: the records of FROM's, if it has one, and then one more, whose members
 * put_record() prints without braces. Atomic.
 */
void modeldir_provenance(const char *from, const char *to, void (*put_record)(FILE *out, void *arg), void *arg);

#endif
