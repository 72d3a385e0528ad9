/*
 * One line of JSON Lines as a flat record: string members of an object, without a tree.
 * As strict as json.h: UTF-8, escapes, numbers, no duplicate key at any depth, nothing behind the object.
 */
#ifndef PALIMPSEST_JSONL_H
#define PALIMPSEST_JSONL_H

#include <stddef.h>
#include <stdint.h>

struct jsonl_field {
	const char *key; /* plain ASCII */
	char *text;      /* set: the value, in the line's memory; not NUL-terminated; may hold NUL */
	size_t n;
};

/*
 * Finds the fields in line[0, n), which is overwritten. All must be there and be strings; other members may be
 * anything. A mistake: exit 3 with name:number and the byte.
 */
void jsonl_scan(char *line, size_t n, struct jsonl_field *field, int n_fields, const char *name, uint64_t number);

#endif
