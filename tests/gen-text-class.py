#!/usr/bin/env python3
"""Writes tools/lib/text_class.c: what Python's str and re, and the module regex that sacrebleu uses, know about characters.

    build/refs/bin/python tests/gen-text-class.py > tools/lib/text_class.c

With --check it compares with the committed file instead of writing.
"""
import re
import sys
import unicodedata

import regex

WORD, DIGIT, PUNCT, SYMBOL, NUMBER = 1, 2, 4, 8, 16


def kind(c):
    s = chr(c)
    k = 0
    k |= WORD * bool(re.match(r"\w", s))
    k |= DIGIT * bool(re.match(r"\d", s))
    k |= PUNCT * bool(regex.match(r"\p{P}", s))
    k |= SYMBOL * bool(regex.match(r"\p{S}", s))
    k |= NUMBER * bool(regex.match(r"\p{N}", s))
    return k


def main():
    ranges = []
    for c in range(0x110000):
        k = 0 if 0xD800 <= c < 0xE000 else kind(c)
        if ranges and ranges[-1][2] == k and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        elif k:
            ranges.append([c, c, k])
    cells = ["{%d, %d, %d}" % tuple(r) for r in ranges]
    rows = ["\t" + ", ".join(cells[i : i + 6]) + "," for i in range(0, len(cells), 6)]
    text = "\n".join([
        "/*",
        " * Made by tests/gen-text-class.py; do not edit. What Python's re (Unicode %s) and the module" % unicodedata.unidata_version,
        " * regex %s answer about each character." % regex.__version__,
        " */",
        '#include "text_class.h"',
        "",
        "const struct text_range text_range[] = {",
        *rows,
        "};",
        "",
        "const int text_n_ranges = sizeof text_range / sizeof *text_range;",
        "",
    ])
    if "--check" in sys.argv[1:]:
        with open("tools/lib/text_class.c") as f:
            sys.exit(f.read() != text and "tools/lib/text_class.c is not what this script makes now")
    sys.stdout.write(text)


main()
