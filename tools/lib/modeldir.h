/* What stands in a model directory beside the weights: configuration, tokenizer, provenance (palimpsest.json). */
#ifndef PALIMPSEST_MODELDIR_H
#define PALIMPSEST_MODELDIR_H

#include <stdio.h>

/* All that tools write into a model directory, for dir_check_replaceable(); the first is in those alone that a tool made. */
extern const char *const modeldir_files[];

/* Copies config.json and, if there, the tokenizer's files, generation_config.json and palimpsest.json, byte for byte. Each atomic. */
void modeldir_copy(const char *from, const char *to);
void modeldir_copy_tokenizer(const char *from, const char *to); /* the tokenizer's files alone */

/* Ends the tool (exit 3) if DIR/palimpsest.json is there and is none that modeldir_provenance() can add to. */
void modeldir_check(const char *dir);
/* Adds a record, whose members put_record() prints without braces, to DIR/palimpsest.json, or begins it. Atomic. */
void modeldir_provenance(const char *dir, void (*put_record)(FILE *out, void *arg), void *arg);

#endif
