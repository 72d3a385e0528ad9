/* The special tokens that a tokenizer puts round a text: what tokenizer.json's post_processor does to a single one. */
#ifndef PALIMPSEST_POST_PROCESSOR_H
#define PALIMPSEST_POST_PROCESSOR_H

#include "json.h"
#include "tokenizer.h"

/* BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel or a Sequence with one of them; else exit 3. */
void post_processor_load(const struct json *doc, const json_value *v, struct ids *before, struct ids *after, const char *path);

#endif
