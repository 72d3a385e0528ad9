#!/usr/bin/env python3
"""Writes tools/lib/word_chars.c: the characters of words (\\w) beside which a single_word added token does not count.

    build/refs/bin/python tests/gen-word-chars.py > tools/lib/word_chars.c

Hugging Face tokenizers is asked, character by character. With --check the committed file is compared instead.
"""
import sys

import tokenizers


def main():
    t = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"<t>": 0}, merges=[]))
    t.add_tokens([tokenizers.AddedToken("<t>", single_word=True, normalized=False)])
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    left = [c for c in points if not t.encode(chr(c) + "<t>").ids]
    right = [c for c in points if not t.encode("<t>" + chr(c)).ids]
    if left != right:
        sys.exit("the left side differs from the right side")
    ranges = []
    for c in left:
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    rows = ["{0x%x, 0x%x}," % tuple(r) for r in ranges]
    text = "\n".join([
        "/*",
        f" * Made by tests/gen-word-chars.py; do not edit. What tokenizers {tokenizers.__version__} takes for characters of words.",
        " */",
        '#include "word_chars.h"',
        "",
        f"const int n_word_chars = {len(ranges)};",
        "const struct char_range word_chars[] = {",
        *["\t" + " ".join(rows[i : i + 6]) for i in range(0, len(rows), 6)],
        "};",
        "",
    ])
    if sys.argv[1:] == ["--check"]:
        with open("tools/lib/word_chars.c") as f:
            sys.exit(f.read() != text and "tools/lib/word_chars.c is not what this version gives")
    sys.stdout.write(text)


main()
