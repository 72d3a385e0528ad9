#!/usr/bin/env python3
"""bench.py [NAME...]: our tools beside what a user would take instead, on the same input, in the same run, in turns.

Names: ceiling train eval row tokenize embed split matrix pipeline scale (default: all). Run by `make bench`, which brings what it needs.
The table goes to stdout and to build/bench/results.tsv, the curves of scale to build/bench/scale.tsv and scale.svg. How to run it, which
variables it knows and what the curves say: README.md.
"""
import glob
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

from harness import BIN, BUILD, DIR, PEERS, REFS, ROOT, ROUNDS, TABLE, Run, brown, compare, data, made, model, path, report, text, tokens

GPT2_SMALL = {"n_embd": 768, "n_layer": 12, "n_head": 12}
GPT2_WEIGHTS = 12 * 12 * 768 * 768 + 50257 * 768  # in matrix products, of GPT-2 small


def product_rate(kind):
    """Operations a second of matrix products at the shapes of GPT-2 small, 2048 rows, kept up for some seconds."""
    code = """
import ctypes, statistics, sys, time, torch
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
libc = ctypes.CDLL(None)
libc.mallopt(M_MMAP_MAX, 0), libc.mallopt(M_TRIM_THRESHOLD, -1)  # memory stays: else clearing the pages of 200 MB of logits counts as well
kind = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[1]]

def seconds(way):
    start = time.monotonic()
    way()
    return time.monotonic() - start

def fastest(i, o):
    x, w = torch.randn(2048, i).to(kind), torch.randn(i, o).to(kind)
    ways = [lambda: x @ w]
    if kind == torch.float32 and hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # oneDNN's, which libtorch itself takes for bf16 alone
        turned = w.t().contiguous()
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(x, turned, None, "none", [], ""))
    if kind == torch.bfloat16:  # which some processors multiply slower than f32
        wide = x.float(), w.float()
        ways.append(lambda: wide[0] @ wide[1])
    return min(ways, key=lambda way: min(seconds(way) for _ in range(3)))

shapes = 12 * [(768, 2304), (768, 768), (768, 3072), (3072, 768)] + [(768, 50257)]
ways = {s: fastest(*s) for s in set(shapes)}
passes, start = [], time.monotonic()
while len(passes) < 3 or time.monotonic() - start < 5:
    passes.append(sum(seconds(ways[s]) for s in shapes))
print(sum(2 * 2048 * i * o for i, o in shapes) / statistics.median(passes))
"""
    return float(Run([REFS, "-c", code, kind]).out)


def disk_rate():
    """Bytes a second that reach the disk."""
    start = time.monotonic()
    with open(path("disk"), "wb") as f:
        for _ in range(32):
            f.write(b"x" * (8 << 20))
        f.flush()
        os.fsync(f.fileno())
    seconds = time.monotonic() - start
    os.unlink(path("disk"))
    return (256 << 20) / seconds


def bench_ceiling():
    for kind in "f32", "bf16":
        report("ceiling", "matrix products, " + kind, [product_rate(kind) / 1e9 for _ in range(ROUNDS)], "GFLOP/s")
    code = "import numpy,time\na=numpy.ones(1<<27);b=numpy.empty_like(a);b[:]=a\nt=time.monotonic();b[:]=a;print(2*a.nbytes/(time.monotonic()-t))"
    report("ceiling", "memory, copy", [float(Run([REFS, "-c", code]).out) / 1e9 for _ in range(ROUNDS)], "GB/s")
    report("ceiling", "disk, write and fsync", [disk_rate() / 1e9 for _ in range(ROUNDS)], "GB/s")


STEPS = 4  # of which the first is not counted


def train(directory, tok, batch, context, precision, dropout, *more):
    """Seconds of each optimiser step, and peak memory."""
    out = path("trained")
    for d in out, out + ".partial":
        shutil.rmtree(d, ignore_errors=True)
    r = Run([os.path.join(BIN, "cpt-step"), "-q", "-m", directory, "-o", out, "--batch", str(batch), "--micro-batch", str(batch),
             "--context", str(context), "--steps", str(STEPS), "--precision", precision, "--dropout", dropout, "--schedule", "constant", *more, tok],
            watch=os.path.join(out + ".partial", "train.log.jsonl"))
    shutil.rmtree(out, ignore_errors=True)
    return r.steps, r.peak


def bench_train():
    directory, tok = model("gpt2-small", **GPT2_SMALL), tokens(2 << 20)
    nanogpt, llmc = os.environ.get("NANOGPT"), os.environ.get("LLMC")
    starts = []
    for precision in os.environ.get("PRECISION", "f32 bf16").split():
        def ceiling():  # 6 operations a weight and token (forward 2, backward 4), and the causal half of attention
            return product_rate(precision) / (6 * GPT2_WEIGHTS + 6 * 12 * 768 * 1024)
        for dropout in "0", "0.1":
            def ours(dropout=dropout):
                steps, peak = train(directory, tok, 2, 1024, precision, dropout)
                starts.append(steps[0] - statistics.median(steps[1:]))
                return 2048 / statistics.median(steps[1:]), peak

            def peer(mode):
                def run():
                    r = Run([*PEERS, "train", directory, tok, precision, dropout, "2", "1024", str(STEPS), mode])
                    return 2048 / statistics.median(map(float, r.out.split()[1:])), r.peak
                return run
            peers = {"palimpsest, dropout 0": lambda: ours("0")} if dropout != "0" else {}
            peers["transformers"] = peer("eager")
            if dropout in os.environ.get("COMPILE", "0 0.1").split():
                peers["transformers, compiled"] = peer("compile")
                if nanogpt:
                    peers["nanoGPT, compiled"] = peer(os.path.abspath(nanogpt))
            compare(f"train {precision}, dropout {dropout}", "tokens/s", ours, peers, ceiling)
    report("train, start to first step", "palimpsest", starts, "s", note="the first step's own time taken off")
    for name, value in ("NANOGPT", nanogpt), ("LLMC", llmc):
        if not value:
            print(f"# train: {name} is not given: left out", flush=True)
    if llmc:
        bench_llmc(os.path.abspath(llmc), directory, tok)


def bench_llmc(checkout, directory, tok):
    """llm.c's train_gpt2 on the cpu knows f32, no dropout, and one shape, 4 x 64. It stands built in the checkout."""
    files = made("llmc", lambda out: Run([*PEERS, "llmc", directory, tok, out]))

    def ours():
        steps, peak = train(directory, tok, 4, 64, "f32", "0", "--clip", "0")
        return 256 / statistics.median(steps[1:]), peak

    def peer():
        r = Run(["stdbuf", "-oL", os.path.join(checkout, "train_gpt2")], cwd=files, enough=(rb"step \d+: .*took ([\d.]+) ms", STEPS))
        return 256e3 / statistics.median(map(float, r.matches[1:])), r.peak
    compare("train f32, 4 x 64", "tokens/s", ours, {"llm.c": peer})


def bench_eval():
    directory, tok = model("gpt2-small", **GPT2_SMALL), tokens(1 << 17)
    for precision in "f32", "bf16":
        ids = {}

        def ceiling():
            return product_rate(precision) / (2 * GPT2_WEIGHTS + 2 * 12 * 768 * 1024)

        def ours():
            r = Run([os.path.join(BIN, "ppl-eval"), "-q", "-m", directory, "--protocol", "disjoint", "--precision", precision, "text=" + tok])
            row = r.out.splitlines()[-1].split("\t")
            ids["n"] = int(row[6])
            return ids["n"] / r.wall, r.peak

        def peer():
            r = Run([*PEERS, "eval", directory, "1024", precision, tok])
            return ids["n"] / r.wall, r.peak
        compare(f"evaluate {precision}", "tokens/s", ours, {"transformers": peer}, ceiling, "whole process")


def bench_row():
    """One row of a matrix, all texts of a study in one process, by a model that has learned something; and what bf16 changes."""
    directory = os.environ.get("ROW_MODEL", os.path.join(ROOT, "examples", "base"))
    if "ROW" in os.environ:  # the OUT of cpt.mk
        texts = sorted(glob.glob(os.path.join(os.environ["ROW"], "tok", "*.test.tok")))
    else:
        texts = cut_texts(24, 25000, directory)
    ppl, ids = {}, {}

    def ours(precision):
        def run():
            r = Run([os.path.join(BIN, "ppl-eval"), "-q", "-m", directory, "--protocol", "disjoint", "--precision", precision,
                     *(f"text{i}={t}" for i, t in enumerate(texts))])
            rows = [line.split("\t") for line in r.out.splitlines()[2:]]
            ppl[precision], ids["n"] = [float(row[9]) for row in rows], sum(int(row[6]) for row in rows)
            return ids["n"] / r.wall, r.peak
        return run

    def peer(precision):
        def run():
            r = Run([*PEERS, "eval", directory, "256", precision, *texts])
            return ids["n"] / r.wall, r.peak
        return run
    for precision in "f32", "bf16":
        compare(f"evaluate a row, {precision}", "tokens/s", ours(precision), {"transformers": peer(precision)}, note=f"{len(texts)} texts, whole process")
    report("evaluate a row, bf16 against f32", "palimpsest", [max(100 * abs(b / f - 1) for f, b in zip(ppl["f32"], ppl["bf16"]))],
           "% of the perplexity, at most")


def cut_texts(n, size, tokenizer):
    """The token files of n pieces of text."""
    with open(text(n * size), "rb") as f:
        body = f.read()

    def make(i):
        def run(out):
            with open(path("piece"), "wb") as f:
                f.write(body[i * size:(i + 1) * size])
            subprocess.run([os.path.join(BIN, "tokenize"), "-q", "-t", tokenizer, "-o", out, path("piece")], check=True)
        return run
    return [made(f"{os.path.basename(tokenizer)}-{i}.tok", make(i)) for i in range(n)]


def bench_tokenize():
    size, out = int(os.environ.get("TEXT_BYTES", 200 << 20)), path("ids")

    def ours(source, tokenizer, *more):
        def run():
            r = Run([os.path.join(BIN, "tokenize"), "-q", "-t", tokenizer, "-o", out, *more, source])
            return os.path.getsize(source) / r.wall / 1e6, r.peak
        return run

    def piped(source, tokenizer, *more):
        def run():
            with open(source, "rb") as f:
                cat = subprocess.Popen(["cat"], stdin=f, stdout=subprocess.PIPE)
                r = Run([os.path.join(BIN, "tokenize"), "-q", "-t", tokenizer, "-o", out, *more], stdin=cat.stdout)
                cat.stdout.close()
                cat.wait()
            return size / r.wall / 1e6, r.peak
        return run

    def peer(kind, source, tokenizer):
        def run():
            r = Run([*PEERS, "tokenize", kind, tokenizer, source, out])
            return os.path.getsize(source) / r.wall / 1e6, r.peak
        return run
    whole, part = text(size), text(size // 4)  # Hugging Face's tokenizers hold some 100 bytes a token
    gpt2, gpt2_json = data("gpt2"), made("gpt2-json", tokenizer_json)
    compare("tokenize, GPT-2", "MB/s", ours(whole, gpt2),
            {"palimpsest, one thread": ours(whole, gpt2, "-j", "1"), "palimpsest, from a pipe": piped(whole, gpt2),
             "palimpsest, one thread, from a pipe": piped(whole, gpt2, "-j", "1"),
             **{kind: peer(kind, whole, gpt2_json) for kind in ("gigatoken", "tiktoken")}}, note=f"{size >> 20} MB, file to file")
    for name, directory, fast in ("Llama 2", data("llama2"), "gigatoken"), ("Llama 3", data("llama3"), "gigatoken"), ("WordPiece", data("minilm"), "nanotoken"):
        compare("tokenize, " + name, "MB/s", ours(part, directory), {kind: peer(kind, part, directory) for kind in (fast, "tokenizers")},
                note=f"{size // 4 >> 20} MB, file to file")


def tokenizer_json(out):
    code = """
import json, os, sys
from tokenizers import Tokenizer, models, pre_tokenizers, decoders
d, out = sys.argv[1:]
t = Tokenizer(models.BPE.from_file(os.path.join(d, "encoder.json"), os.path.join(d, "vocab.bpe")))
t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
os.mkdir(out)
t.save(os.path.join(out, "tokenizer.json"))
for f in "encoder.json", "vocab.bpe":
    os.symlink(os.path.join(os.path.realpath(d), f), os.path.join(out, f))
"""
    Run([REFS, "-c", code, data("gpt2"), out])


def bench_embed():
    documents = 300

    def cut(out):
        with open(brown()) as f, open(out, "w") as o:
            body = f.read().replace("\n", " ")
            for i in range(documents):  # as long as abstracts: some 700 characters
                size = 300 + i * 7919 % 800
                o.write(json.dumps({"text": body[i * 1100:i * 1100 + size]}) + "\n")
    source = made("abstracts.jsonl", cut)

    def plain(out):
        with open(source) as f, open(out, "w") as o:
            o.writelines(json.loads(line)["text"] + "\n" for line in f)
    lines = made("abstracts.txt", plain)

    def ours(precision):
        def run():
            r = Run([os.path.join(BIN, "embed-domains"), "-q", "-m", data("minilm"), "-n", str(documents), *precision, "text=" + lines])
            return documents / r.wall, r.peak
        return run

    def peer():
        r = Run([*PEERS, "embed", data("minilm"), source, path("vectors")])
        return documents / r.wall, r.peak
    compare("embed", "documents/s", ours(["--precision", "bf16"]), {"palimpsest, f32": ours([]), "sentence-transformers": peer}, note="whole process")


def bench_split():
    size = 1 << 30

    def make(out):
        with open(brown(), "rb") as f:
            lines = f.read().splitlines()
        with open(out, "wb") as o:
            written = i = 0
            while written < size:
                line = json.dumps({"domain": f"d{i % 24}", "l1": "x", "portion": "y", "text": f"{i} " + lines[i % len(lines)].decode()}).encode() + b"\n"
                o.write(line)
                written += len(line)
                i += 1
    source = made("labelled.jsonl", make)

    def ours():
        shutil.rmtree(path("split"), ignore_errors=True)
        r = Run([os.path.join(BIN, "m2d2-split"), "-q", "-o", path("split"), "--format", "jsonl", source])
        return os.path.getsize(source) / r.wall / 1e6, r.peak

    def cat():
        r = Run(["sh", "-c", f"cat '{source}' >'{path('copy')}' && sync '{path('copy')}'"])
        os.unlink(path("copy"))
        return os.path.getsize(source) / r.wall / 1e6, r.peak
    compare("m2d2-split", "MB/s", ours, {"cat and sync": cat}, note="1 GiB of labelled documents")
    shutil.rmtree(path("split"), ignore_errors=True)


def bench_matrix():
    def rows(out):
        subprocess.run(["sh", os.path.join(ROOT, "tests", "synthetic-rows.sh"), "160", out], check=True)
    directory = made("rows-160", rows)

    def ours():
        shutil.rmtree(path("matrix"), ignore_errors=True)
        r = Run([os.path.join(BIN, "transfer-matrix"), "-q", "--order", os.path.join(directory, "order.tsv"), "-o", path("matrix"),
                 os.path.join(directory, "rows.tsv")])
        return 1 / r.wall, r.peak
    compare("transfer-matrix, 160 domains", "runs/s", ours, {})

    def domains(out):
        rng = random.Random(1)
        names = [f"d{i}" for i in range(160)]
        sizes = [f"{part}_{what}" for part in ("train", "valid", "test") for what in ("docs", "bytes")]
        os.mkdir(out)
        with open(os.path.join(out, "domains.tsv"), "w") as f:
            f.writelines("\t".join(row) + "\n" for row in [["#palimpsest-domains 1"], ["domain", "l1", "portion", *sizes],
                                                          *([name, "x", "y"] + ["1000"] * 6 for name in names)])
        with open(os.path.join(out, "vectors.tsv"), "w") as f:
            f.writelines("\t".join(row) + "\n" for row in [["#palimpsest-vectors 1"], ["domain", "n", *(f"v{i}" for i in range(384))],
                                                          *([name, "10000", *(f"{rng.gauss(0, 1):.9g}" for _ in range(384))] for name in ["@base", *names])])
    places = made("domains-160", domains)

    def order():
        r = Run([os.path.join(BIN, "order-domains"), "--vectors", os.path.join(places, "vectors.tsv"), os.path.join(places, "domains.tsv")])
        return 1 / r.wall, r.peak
    compare("order-domains, 160 domains", "runs/s", order, {})


def bench_pipeline():
    """Share of a small study's time that is neither training nor evaluation: the demo with JOBS=1."""
    out = path("demo")
    shutil.rmtree(out, ignore_errors=True)
    r = Run(["make", "-C", ROOT, "-f", "pipelines/demo.mk", "OUT=" + out, "BUILD=" + BUILD, "JOBS=1"])
    with open(os.path.join(out, ".run", "trace.tsv")) as f:
        head, *rows = [line.rstrip("\n").split("\t") for line in f if line[0] != "#"]
    jobs = [dict(zip(head, row)) for row in rows]
    work = sum(float(j["end"]) - float(j["start"]) for j in jobs if j["stage"].startswith(("train", "evaluate")))
    report("pipeline, outside training and evaluation", "palimpsest", [100 * (1 - work / r.wall)], "% of the time")


# GPT-2's four sizes
SIZES = {"S": (768, 12, 12), "M": (1024, 24, 16), "L": (1280, 36, 20), "XL": (1600, 48, 25)}


def bench_scale():
    """How time and memory grow: cpt-step with model size, context and batch; transfer-matrix with the number of domains."""
    curves = []

    def step(curve, x, directory, batch, context, *more):
        seconds, peak = train(directory, tokens(2 << 20), batch, context, "bf16", "0", *more)
        curves.append((curve, x, min(seconds[1:]), peak))
        report(f"scale, {curve} {x}", "palimpsest", [batch * context / min(seconds[1:])], "tokens/s", [peak])

    small = model("gpt2-small", **GPT2_SMALL)
    for context in 128, 256, 512, 1024:
        step("context", context, small, 1, context)
    for batch in 1, 2, 4, 8:
        step("batch", batch, small, batch, 256)
    for name, (width, layers, heads) in SIZES.items():
        weights = 12 * layers * width * width + (50257 + 1024) * width
        config = {"n_embd": width, "n_layer": layers, "n_head": heads}
        directory = model("gpt2-" + name, dtype="bf16", **config)
        # as XL fits: no f32 copy of the weights, moments in bf16
        step("parameters", weights, directory, 1, 256, "--weights", "bf16", "--optimizer-dtype", "bf16", "--recompute", "--dtype", "bf16")
        shutil.rmtree(directory)
    for n in 20, 40, 80, 160, 320:
        directory = made(f"rows-{n}", lambda out: subprocess.run(
            ["sh", os.path.join(ROOT, "tests", "synthetic-rows.sh"), str(n), out], check=True))
        shutil.rmtree(path("matrix"), ignore_errors=True)
        r = Run([os.path.join(BIN, "transfer-matrix"), "-q", "--order", os.path.join(directory, "order.tsv"), "-o", path("matrix"),
                 os.path.join(directory, "rows.tsv")])
        curves.append(("domains", n, r.wall, r.peak))
        report(f"scale, domains {n}", "palimpsest", [r.wall], "s", [r.peak])
    with open(path("scale.tsv"), "w") as f:
        f.write("curve\tx\tseconds\tbytes\n")
        f.writelines("\t".join(map(str, c)) + "\n" for c in curves)
    subprocess.run(["gnuplot", "-c", os.path.join(ROOT, "tests", "bench", "scale.gp"), path("scale.tsv"), path("scale.svg")], check=True)


def main():
    os.makedirs(DIR, exist_ok=True)
    if not os.path.exists(REFS):
        sys.exit("bench: build/refs is missing: run: make setup-test")
    processor = platform.processor()
    with open("/proc/cpuinfo") as f:
        info = f.read()
        processor = re.search(r"model name\s*: (.*)", info)[1]
        flags = [x for x in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{x}\b", info)]
    bound = os.environ.get("ONEDNN_MAX_CPU_ISA")
    about = f"# {processor}, {os.cpu_count()} threads, {' '.join(flags)}{f', oneDNN bound to {bound}' if bound else ''}; " \
            f"load {os.getloadavg()[0]:.1f}; {ROUNDS} rounds"
    columns = "case\twho\trate (least-most)\tunit\tpeak MB\tours / theirs\tof ceiling\tnote"
    print(about, columns, sep="\n", flush=True)
    names = sys.argv[1:] or ["ceiling", "train", "eval", "row", "tokenize", "embed", "split", "matrix", "pipeline", "scale"]
    for name in names:
        globals()["bench_" + name]()
    with open(path("results.tsv"), "w") as f:
        f.writelines(line + "\n" for line in [about, columns, *("\t".join(row) for row in TABLE)])


if __name__ == "__main__":
    main()
