#!/usr/bin/env python3
"""gen-bert-chars.py > tools/lib/bert_chars.c

Writes the tables of tools/lib/bert_chars.h by asking Hugging Face tokenizers about every code point, because that
is what must be matched: its crates hold three Unicode versions at once (categories, decompositions, lower case).
The versions named in the output are told by a few characters that are new in them.
"""
import unicodedata

import tokenizers
from tokenizers import normalizers, pre_tokenizers

REMOVE, SPACE, PUNCT, MARK, CJK = 1, 2, 4, 8, 16
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on}).normalize_str


def combining_classes(nfd, plain):
    """Canonical combining classes by experiment: whether the pair (x, c) is put in the other order."""
    by_class = {}
    for c in plain:
        if unicodedata.combining(chr(c)):
            by_class.setdefault(unicodedata.combining(chr(c)), c)
    probe = sorted(by_class.items())
    lowest, highest = chr(probe[0][1]), chr(probe[-1][1])
    out = {}
    for c in plain:
        s = chr(c)
        if nfd(highest + s) == highest + s and nfd(s + lowest) == s + lowest:
            continue  # 0, or a class alone at both ends, which there is not
        # The first class that goes behind c is above c's; c's own is the one before.
        above = [k for k, x in probe if nfd(chr(x) + s) != chr(x) + s]
        own = max(k for k, _ in probe if not above or k < min(above))
        out[c] = own
    return out


def ranges(value):
    """[first, last, value] of neighbours with the same value, none for 0."""
    out = []
    for c in sorted(value):
        if out and out[-1][1] == c - 1 and out[-1][2] == value[c]:
            out[-1][1] = c
        elif value[c]:
            out.append([c, c, value[c]])
    return out


def lower_ranges(lower):
    """[first, last, step, delta]; step 2 where capitals and small letters alternate."""
    out = []
    for c in sorted(lower):
        delta = lower[c] - c
        if out:
            first, last, step, d = out[-1]
            if d == delta and (c - last == step or first == last and c - last in (1, 2)):
                out[-1] = [first, c, c - last, d]
                continue
        out.append([c, c, 1, delta])
    return out


def table(declaration, rows):
    print(f"\nconst {declaration} = {{")
    line = "\t"
    for row in rows:
        if len(line) + len(row) + 4 > 116:
            print(line.rstrip())
            line = "\t"
        line += row + ", "
    print(line.rstrip().rstrip(",") + "\n};")


def main():
    clean, cjk, strip, lowercase = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True), \
        bert(lowercase=True)
    nfd = normalizers.NFD().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

    decomposed = {c: nfd(chr(c)) for c in CODE_POINTS if nfd(chr(c)) != chr(c)}
    hangul = {c for c in decomposed if 0xAC00 <= c <= 0xD7A3}
    plain = [c for c in CODE_POINTS if c not in decomposed]
    combining = combining_classes(nfd, plain)
    lower = {}
    kind = {}
    for c in CODE_POINTS:
        s = chr(c)
        flags = 0
        if clean(s) == "":
            flags |= REMOVE
        words = len(split("a" + s + "b"))
        flags |= {1: 0, 2: SPACE, 3: PUNCT}[words]
        if c not in decomposed and strip(s) == "":
            flags |= MARK
        if cjk(s) != s:
            assert cjk(s) == f" {s} "
            flags |= CJK
        # What the C code takes for granted.
        assert (clean(s) == " ") == (flags & (SPACE | REMOVE) == SPACE), hex(c)
        if lowercase(s) != s:
            if c == 0x130:
                assert lowercase(s) == "i\u0307"
            else:
                lower[c] = ord(lowercase(s))
        kind[c] = flags | combining.get(c, 0) << 8
    pairs = [(c, s) for c, s in decomposed.items() if c not in hangul]
    assert max(len(s) for _, s in pairs) <= 4 and len(hangul) == 11172
    kinds = ranges(kind)
    lowers = lower_ranges(lower)

    print(f"""/*
 * Made by tests/gen-bert-chars.py; do not edit. What Hugging Face tokenizers {tokenizers.__version__} holds: {sum(1 for k in kind.values() if k & PUNCT)} characters
 * of punctuation and {sum(1 for k in kind.values() if k & MARK)} nonspacing marks (Unicode {'9.0 or later' if kind[0x8D4] & MARK else '8.0'}), {len(decomposed)} decompositions (Unicode {'13.0' if 0x11938 in decomposed else '12.1'}),
 * {len(lower) + 1} capital letters (Unicode {'17.0' if 0x16EA0 in lower else '16.0' if 0x1C89 in lower else '15.0'}).
 */
#include "bert_chars.h\"""")
    table(f"struct bert_range bert_kind[{len(kinds)}]", [f"{{{a:#x}, {b:#x}, {v:#x}}}" for a, b, v in kinds])
    print(f"const int bert_n_kind = {len(kinds)};")
    table(f"struct bert_decomposition bert_nfd[{len(pairs)}]",
          ["{%#x, {%s}}" % (c, ", ".join(f"{ord(x):#x}" for x in s)) for c, s in pairs])
    print(f"const int bert_n_nfd = {len(pairs)};")
    table(f"struct bert_case bert_lower[{len(lowers)}]",
          [f"{{{a:#x}, {b:#x}, {step}, {delta}}}" for a, b, step, delta in lowers])
    print(f"const int bert_n_lower = {len(lowers)};")


main()
