#!/usr/bin/env python3
"""gen-wordpiece-golden.py > tests/unit/wordpiece_golden.h

A small vocabulary, texts, and their ids by Hugging Face tokenizers under several options of BertNormalizer.
"""
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

TEXTS = [
    "Hello, World! unaffable", "na\u00efve CAF\u00c9 \u00c5ngstr\u00f6m", "a\u0301\u0327b\u0327\u0301 \u1e69\u0307s\u0323",
    "\u4e2d\u6587\u5b57 x\u4e2dy \uf900 \U00020000z", "tab\tnew\rx\u00a0y\u3000z\u2028w\u200bv\u00adu",
    "a\0b\ufffdc\x01d\x7fe\x85f\x0bg", "[CLS] [MASK][SEP] ##able able", "\u0130stanbul \u1e9e \u03a3\u0391\u03a3 \u212b \u01c5",
    "\uac01\ub098 \ud55c\uae00", "!?\u00a1\u00bf\u2014\u2019\u3002$+<=>^`|~\u00a7", "x" * 100 + " " + "x" * 101,
    "\u0302a !\u0301b \u302e\u0327\u0323c", "\u0e33\u0344\u0f73\u0958 \u093c", "\U0001f600\ue000\U000e0001ok",
    "", " ", "unzebrable", "\u2e44 \u08d4 \U00011938 \U0001e922\U0001e900 \u1c89 \U00016ea0", "e\u0345\u0301\u0334\u0327",
]
OPTIONS = [(True, True, None, True), (True, True, None, False), (True, True, True, False), (True, True, False, True),
           (False, False, False, False), (False, True, True, True), (True, False, True, True)]


def c_string(data):
    out = ""
    for b in data:
        out += chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
    return f'"{out}"'


def normalizer(option):
    clean, cjk, strip, lower = option
    return normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower)


words = ["[PAD]", "[UNK]", "hello", "world", "un", "##aff", "##able", "able", "##a", "##ff", "##b", "na", "##ive", "cafe",
         "Caf", "is", "##tan", "##bul", "z" * 40, "xx", "##xx"]
for option in OPTIONS:
    for text in TEXTS:
        for c in normalizer(option).normalize_str(text):
            for token in (c, "##" + c):
                # The vocabulary stands in a file of lines, and some words must stay unknown.
                if token not in words and c not in "\0\n\r\u4e2d\u1e9e\U0001f600xf" and not c.isspace():
                    words.append(token)
vocab = {w: i for i, w in enumerate(words)}

print(f"/* Made by tests/gen-wordpiece-golden.py with Hugging Face tokenizers {tokenizers.__version__}; do not edit. */")
print("static const char golden_vocab[] =")
line = ""
for w in words:
    line += c_string((w + "\n").encode())[1:-1]
    if len(line) > 90:
        print(f'\t"{line}"')
        line = ""
print(f'\t"{line}";\n')
print("static const struct {\n\tint clean_text, handle_chinese_chars, strip_accents /* -1: null */, lowercase;\n"
      "\tsize_t bytes;\n\tconst char *text, *ids;\n} golden[] = {")
for option in OPTIONS:
    t = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizer(option)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for text in TEXTS:
        ids = " ".join(map(str, t.encode(text, add_special_tokens=False).ids))
        bits = ", ".join(str(-1 if o is None else int(o)) for o in option)
        print(f"\t{{{bits}, {len(text.encode())}, {c_string(text.encode())},\n\t \"{ids}\"}},")
print("};")
