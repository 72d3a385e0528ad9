#!/usr/bin/env python3
"""Writes tools/lib/char_class.c: the letters, numbers and white space of GPT-2's word pattern.

    build/refs/bin/python tests/gen-char-class.py > tools/lib/char_class.c

The classes are not taken from a Unicode file, but asked of the two references themselves, character by character: tiktoken
(Rust's regex-syntax) and Hugging Face tokenizers. The script fails if they disagree on any code point. With --check it
compares with the committed file instead of writing.
"""
import sys

import tiktoken
import tokenizers

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
PROBES = "!a1"  # a member of each class before the character: one word with it, or not
OTHER, LETTER, NUMBER, SPACE = range(4)
PAGE = 128


def by_tiktoken(points):
    ranks = {bytes([i]): i for i in range(256)}
    for c in points:
        for p in PROBES:
            ranks.setdefault((p + chr(c)).encode(), len(ranks))
    enc = tiktoken.Encoding(name="probe", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    one = lambda c, p: len(enc.encode_ordinary(p + chr(c))) == 1
    return [next((k for k, p in enumerate(PROBES) if one(c, p)), SPACE) for c in points]


def by_tokenizers(points):
    words = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    one = lambda c, p: len(words(p + chr(c))) == 1
    return [next((k for k, p in enumerate(PROBES) if one(c, p)), SPACE) for c in points]


def main():
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    a, b = by_tiktoken(points), by_tokenizers(points)
    differ = [hex(c) for c, x, y in zip(points, a, b) if x != y]
    if differ:
        sys.exit(f"tiktoken {tiktoken.__version__} and tokenizers {tokenizers.__version__} disagree: {' '.join(differ[:20])}")
    cls = dict(zip(points, a))
    end = (max(c for c in points if cls[c] != OTHER) // PAGE + 1) * PAGE
    pages, index = {}, []
    for start in range(0, end, PAGE):
        page = bytes(
            sum(cls.get(start + 4 * i + k, OTHER) << 2 * k for k in range(4)) for i in range(PAGE // 4))
        index.append(pages.setdefault(page, len(pages)))
    assert len(pages) <= 256

    def rows(values, per):
        for i in range(0, len(values), per):
            yield "\t" + ", ".join(str(v) for v in values[i : i + per]) + ","

    # The Unicode version is told by what it added: letters of 16.0 (Garay), none of 17.0 (Sidetic).
    version = "16.0" if cls[0x10D4A] == LETTER and cls[0x10940] == OTHER else "unknown"
    text = "\n".join([
        "/*",
        " * Made by tests/gen-char-class.py; do not edit. What tiktoken " + tiktoken.__version__,
        f" * and Hugging Face tokenizers {tokenizers.__version__} hold for letters, numbers and white space; they agree on",
        f" * every code point. Unicode {version}: {a.count(LETTER)} letters, {a.count(NUMBER)} numbers, {a.count(SPACE)} spaces.",
        " */",
        '#include "char_class.h"',
        "",
        f"const uint8_t char_class_page[{len(index)}] = {{",
        *rows(index, 24),
        "};",
        "",
        f"const uint8_t char_class_bits[][{PAGE // 4}] = {{",
        *("\t{" + ", ".join(str(v) for v in page) + "}," for page in pages),
        "};",
        "",
    ])
    if "--check" in sys.argv:
        here = open("tools/lib/char_class.c").read()
        strip = lambda s: s[s.index("*/") :]
        if strip(here) != strip(text):
            sys.exit("tools/lib/char_class.c is not what the references say: make it again")
    else:
        sys.stdout.write(text)


main()
