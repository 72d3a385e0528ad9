#include "docset.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

/* Both halves of a 64 x 64 bit product, folded: the mixer of the fast multiplicative hashes. */
static uint64_t fold(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return le64toh(x);
}

/* Fractional digits of pi: constants with nothing up the sleeve. */
static const uint64_t k[] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
                             0x452821e638d01377, 0xbe5466cf34e90c6c};

/* Two lanes with keys of their own, 16 bytes a step; the rest is padded with zeros and told apart by the length. */
struct doc_hash hash_document(const char *text, size_t n)
{
	uint64_t a = k[0] ^ n, b = k[1] + n, x, y;
	char rest[16] = {0};

	for (; n >= 16; text += 16, n -= 16) {
		x = load(text);
		y = load(text + 8);
		a = fold(x ^ k[2] ^ a, y ^ k[3]) + a;
		b = fold(x ^ k[4], y ^ k[5] ^ b) + b;
	}
	memcpy(rest, text, n);
	x = load(rest);
	y = load(rest + 8);
	a = fold(x ^ k[2] ^ a, y ^ k[3]) + a;
	b = fold(x ^ k[4], y ^ k[5] ^ b) + b;
	return (struct doc_hash){fold(a ^ k[4], b ^ k[2]), fold(b ^ k[3], a ^ k[5])};
}

/* Linear probing; at most three quarters full. */
static bool put(struct doc_hash *slot, size_t n_slots, struct doc_hash h)
{
	for (size_t i = h.b & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
		if (slot[i].a == h.a && slot[i].b == h.b)
			return false;
		if (!slot[i].a && !slot[i].b) {
			slot[i] = h;
			return true;
		}
	}
}

bool docset_add(struct docset *set, struct doc_hash h)
{
	if (!h.a && !h.b) {
		bool is_new = !set->has_zero;

		set->has_zero = true;
		return is_new;
	}
	if (set->n >= set->n_slots / 4 * 3) {
		size_t n_slots = set->n_slots ? 2 * set->n_slots : 1024;
		struct doc_hash *slot = xcalloc(n_slots, sizeof *slot);

		for (size_t i = 0; i < set->n_slots; i++)
			if (set->slot[i].a || set->slot[i].b)
				put(slot, n_slots, set->slot[i]);
		free(set->slot);
		set->slot = slot;
		set->n_slots = n_slots;
	}
	if (!put(set->slot, set->n_slots, h))
		return false;
	set->n++;
	return true;
}

void docset_free(struct docset *set)
{
	free(set->slot);
	*set = (struct docset){0};
}
