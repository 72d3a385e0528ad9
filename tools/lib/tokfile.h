/*
 * Token files, palimpsest-tok(5): a header, the ids, a trailer with the true count and
 * CRC-32. Written and read front to back, so both ends may be pipes; a regular file is mapped.
 */
#ifndef PALIMPSEST_TOKFILE_H
#define PALIMPSEST_TOKFILE_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

struct tok_writer;

/*
 * vocab: number of ids in the tokenizer; ids are 2 bytes wide if vocab <= 65536, else 4.
 * fingerprint: of the tokenizer (tokenizer.h). path "-": stdout.
 */
struct tok_writer *tok_create(const char *path, uint32_t vocab, const uint8_t fingerprint[HASH_BYTES]);
void tok_write(struct tok_writer *w, const uint32_t *id, size_t n);
/* Writes the trailer, commits and frees. source_bytes: size of the text behind the ids. */
void tok_finish(struct tok_writer *w, uint64_t source_bytes);

struct tok_reader;

/* Checks the header. A cut, extended or damaged file: exit 3. You tok_close() it. */
struct tok_reader *tok_open(const char *path);
uint32_t tok_vocab(const struct tok_reader *r);
int tok_id_width(const struct tok_reader *r);
const uint8_t *tok_fingerprint(const struct tok_reader *r); /* HASH_BYTES, borrowed */
const char *tok_name(const struct tok_reader *r);
const char *tok_provenance(const struct tok_reader *r);

/* Next ids in sequence, at most n; 0 at the end, when count and CRC have been verified. For pipes. */
size_t tok_read(struct tok_reader *r, uint32_t *id, size_t n);

/*
 * Random access: maps a regular file (a pipe is read into memory) and verifies count and CRC
 * once. Then tok_count() ids can be copied from any place. Every id < tok_vocab(), else exit 3.
 */
void tok_load(struct tok_reader *r);
uint64_t tok_count(const struct tok_reader *r);        /* after tok_load() or the end */
uint64_t tok_source_bytes(const struct tok_reader *r); /* likewise */
void tok_copy(const struct tok_reader *r, uint64_t start, size_t n, int64_t *id); /* widened to int64 for the shim */
void tok_data_hash(const struct tok_reader *r, uint8_t out[HASH_BYTES]); /* of width and ids, after tok_load() */
void tok_close(struct tok_reader *r);

#endif
