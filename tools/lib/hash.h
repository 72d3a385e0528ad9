/* SHA-256 (FIPS 180-4), for fingerprints of models, tokenizers and data. */
#ifndef PALIMPSEST_HASH_H
#define PALIMPSEST_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t block[64];
};

#define HASH_BYTES 32
#define HASH_HEX 65 /* 64 digits and NUL */

void hash_start(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t n);
void hash_add_u32(struct hash *h, uint32_t x); /* little-endian */
void hash_add_file(struct hash *h, const char *path); /* the file's bytes as they lie on disk; missing: exit 1 */
void hash_end(struct hash *h, uint8_t out[HASH_BYTES]);
void hash_hex(const uint8_t digest[HASH_BYTES], char out[HASH_HEX]);
void hash_file(const char *path, uint8_t out[HASH_BYTES]); /* of one file alone */

#endif
