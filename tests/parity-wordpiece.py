#!/usr/bin/env python3
"""parity-wordpiece.py [--tokenize PROGRAM] [--random N] [--seed S] [--short] TOKENIZER_DIR [FILE...]

Compares `tokenize --ids` with Hugging Face tokenizers on every line of the files (plain or .gz), on every code point
alone and between letters, and on N random Unicode strings, under all options of BertNormalizer. Prints
the number of lines compared and the first that differ; exit 1 if any does. --short: random strings alone, under
the vocabulary's own options.
"""
import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile

import tokenizers

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def every_code_point():
    for c in range(0x110000):
        if not 0xD800 <= c <= 0xDFFF and c != 10:
            yield chr(c)
            yield f"un{chr(c)}able"


def random_strings(n, seed):
    r = random.Random(seed)
    marks = [chr(c) for a, b in ((0x300, 0x370), (0x591, 0x5C8), (0x1DC0, 0x1E00), (0x302A, 0x3030), (0x16FF0, 0x16FF2),
                                 (0x1D165, 0x1D173), (0x8D3, 0x900)) for c in range(a, b)]
    pools = [
        lambda: chr(r.randrange(32, 127)), lambda: r.choice(LETTERS), lambda: r.choice(LETTERS.upper()),
        lambda: r.choice(" \t\r .,-#'\"[]"), lambda: r.choice(marks), lambda: chr(r.randrange(0x80, 0x600)),
        lambda: chr(r.randrange(0x600, 0x2000)), lambda: chr(r.randrange(0x2000, 0x3400)),
        lambda: chr(r.randrange(0x3400, 0xA000)), lambda: chr(r.randrange(0xA000, 0xD7FC)),
        lambda: chr(r.randrange(0xE000, 0x10000)), lambda: chr(r.randrange(0x10000, 0x20000)),
        lambda: chr(r.randrange(0x20000, 0x32000)), lambda: chr(r.randrange(0, 32)),
        lambda: r.choice(("[CLS]", "[MASK]", "##", "\ufffd", "\0", "\u0130", "\u1e9e", "\u212b", "\u0344", "\u200b",
                          "x" * r.choice((98, 99, 100, 101, 300)), "unaffable", "\u0958", "\uac01", "\u03a3")),
    ]
    for _ in range(n):
        some = r.sample(pools, r.randrange(1, 5))
        yield "".join(r.choice(some)() for _ in range(r.randrange(1, 60))).replace("\n", " ")


def lines_of(path):
    with open(path, "rb") as f:
        data = f.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    yield from data.decode(errors="replace").split("\n")


def compare(program, directory, name, lines):
    reference = tokenizers.Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
    reference.no_padding()
    reference.no_truncation()
    reference.encode_special_tokens = True
    lines = list(lines)
    text = "".join(line + "\n" for line in lines).encode()
    ours = subprocess.run([program, "-t", directory, "--ids"], input=text, stdout=subprocess.PIPE, check=True).stdout
    ours = ours.decode().split("\n")[:-1]
    bad = abs(len(ours) - len(lines))
    for i in range(0, len(lines), 4096):
        part = reference.encode_batch(lines[i:i + 4096], add_special_tokens=False)
        for line, encoding, mine in zip(lines[i:], part, ours[i:]):
            if " ".join(map(str, encoding.ids)) != mine:
                bad += 1
                if bad <= 5:
                    print(f"{name}: {line!r}\n  expected {encoding.ids}\n  got      {mine}")
    print(f"{name}: {len(lines)} lines, {len(text)} bytes, {bad} differ", flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenize", default="tokenize")
    parser.add_argument("--random", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("directory")
    parser.add_argument("file", nargs="*")
    args = parser.parse_args()

    bad = 0
    for path in args.file:
        bad += compare(args.tokenize, args.directory, os.path.basename(path), lines_of(path))
    bad += compare(args.tokenize, args.directory, "random", random_strings(args.random, args.seed))
    if args.short:
        return 1 if bad else 0
    bad += compare(args.tokenize, args.directory, "code points", every_code_point())

    with open(os.path.join(args.directory, "tokenizer.json")) as f:
        model = json.load(f)
    options = [dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), (a, b, c, d)))
               for a in (True, False) for b in (True, False) for c in (None, True, False) for d in (True, False)]
    # Words of letters that the vocabulary lacks are [UNK] whatever their normal form is; with every character
    # in the vocabulary (but NUL, which our JSON refuses), each difference shows.
    vocab = model["model"]["vocab"]
    for c in range(0x110000):
        if 0 < c and not 0xD800 <= c <= 0xDFFF and (c < 0x3100 or 0xA640 <= c < 0xA800 or 0x10000 <= c < 0x1F000):
            for token in (chr(c), "##" + chr(c)):
                vocab.setdefault(token, len(vocab))
    for i, option in enumerate(options):
        model["normalizer"].update(option)
        with tempfile.TemporaryDirectory() as scratch:
            with open(os.path.join(scratch, "tokenizer.json"), "w") as f:
                json.dump(model, f)
            name = ", ".join(f"{k} {v}" for k, v in option.items())
            bad += compare(args.tokenize, scratch, name, random_strings(max(1, args.random // 10), args.seed + i))
            if i in (0, len(options) - 1):
                bad += compare(args.tokenize, scratch, name + ", code points", every_code_point())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
