#!/usr/bin/env python3
"""bench.py [NAME...]: our tools beside what a user would take instead, on the same input, in the same run, in turns.

Names: ceiling train eval tokenize embed split matrix pipeline scale (default: all). Needs what `make setup-test` brings; run by
`make bench`. ROUNDS=N (default 3) turns of each; times are the median over them, with the least and the most. Ratios are made turn by
turn, so that a machine that drifts drifts for both. The table goes to stdout and to build/bench/results.tsv, the curves of scale to
build/bench/scale.tsv and scale.svg.
"""
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
BIN, REFS = os.path.join(BUILD, "bin"), os.path.join(BUILD, "refs", "bin", "python")
DIR = os.path.join(BUILD, "bench")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PEERS = [REFS, os.path.join(ROOT, "tests", "bench", "peers.py")]


class Failed(Exception):
    pass


class Run:
    """One whole process: wall and processor seconds, peak memory in bytes, standard output; with watch, the seconds between
    two lines of that file (the first: since the start)."""

    def __init__(self, command, stdin=None, watch=None):
        start = time.monotonic()
        with open(os.path.join(DIR, "stderr"), "wb") as err:
            p = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=err, env={**os.environ, "PATH": BIN + ":" + os.environ["PATH"]})
            out = []
            reader = threading.Thread(target=lambda: out.append(p.stdout.read()))
            reader.start()
            self.steps, lines, last = [], 0, start
            while watch and not os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.005)
                try:
                    with open(watch, "rb") as f:
                        now = f.read().count(b"\n")
                except FileNotFoundError:
                    now = 0
                if now > lines:
                    lines, t = now, time.monotonic()
                    self.steps.append(t - last)
                    last = t
            _, status, usage = os.wait4(p.pid, 0)
            reader.join()
        self.wall = time.monotonic() - start
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024
        self.out = out[0].decode(errors="replace")
        if status:
            with open(os.path.join(DIR, "stderr")) as f:
                raise Failed(f"{' '.join(map(str, command))}: status {status}: {f.read().strip().splitlines()[-1:]}")


def spread(values, form="{:.3g}"):
    m = form.format(statistics.median(values))
    return m if len(values) == 1 else f"{m} ({form.format(min(values))}-{form.format(max(values))})"


TABLE = []


def report(case, who, rate, unit, peak=None, ratio=None, share=None, note=""):
    row = [case, who, spread(rate), unit, "" if peak is None else f"{statistics.median(peak) / 2**20:.0f}",
           "" if ratio is None else spread(ratio), "" if share is None else f"{100 * share:.0f} %", note]
    TABLE.append(row)
    print("\t".join(row), flush=True)


def compare(case, unit, ours, peers, ceiling=None, note=""):
    """ours, peers' values: functions that run once and give (rate, peak memory). A peer that is missing is said to be."""
    rates, peaks, gone = {}, {}, {}
    for _ in range(ROUNDS):
        for who, run in {"palimpsest": ours, **peers}.items():
            if who in gone:
                continue
            try:
                rate, peak = run()
            except Failed as e:
                if who == "palimpsest":
                    raise
                gone[who] = str(e)
                continue
            rates.setdefault(who, []).append(rate)
            peaks.setdefault(who, []).append(peak)
    for who, r in rates.items():
        ratio = None if who == "palimpsest" else [a / b for a, b in zip(rates["palimpsest"], r)]
        share = statistics.median(r) / ceiling if ceiling else None
        report(case, who, r, unit, peaks[who], ratio, share, note if who == "palimpsest" else "")
    for who, why in gone.items():
        print(f"# {case}: {who} left out: {why}", flush=True)


# --- input ---

def path(name):
    return os.path.join(DIR, name)


def made(name, make):
    """The file or folder of that name in build/bench, made by make(temporary name) if it is not there."""
    if not os.path.exists(path(name)):
        make(path(name + ".new"))
        os.rename(path(name + ".new"), path(name))
    return path(name)


def data(name):
    return os.path.join(BUILD, "data", name)


def brown():
    """The Brown corpus' plain text, a paragraph a line."""
    def make(out):
        with open(path("brown.jsonl"), "wb") as f:
            subprocess.run(["sh", os.path.join(ROOT, "pipelines", "brown-to-jsonl.sh"), data("brown")], stdout=f, check=True)
        with open(path("brown.jsonl")) as f, open(out, "w") as o:
            for line in f:
                o.write(json.loads(line)["text"].replace("\n\n", "\n").strip() + "\n")
    return made("brown.txt", make)


def text(size):
    """That many bytes of text: TEXT=FILE of the environment, else the Brown corpus, over and over."""
    source = os.environ.get("TEXT") or brown()

    def make(out):
        with open(source, "rb") as f:
            one = f.read()
        with open(out, "wb") as o:
            for at in range(0, size, len(one)):
                o.write(one[:size - at])
    return made(f"text-{size}", make)


def model(name, dtype="f32", **config):
    def make(out):
        with open(path(name + ".json"), "w") as f:
            json.dump({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 50257, "n_positions": 1024,
                       "bos_token_id": 50256, "eos_token_id": 50256, **config}, f)
        subprocess.run([os.path.join(BIN, "model-init"), "-q", "-c", path(name + ".json"), "-t", data("gpt2"), "--dtype", dtype, "-o", out], check=True)
    return made(name, make)


def tokens(size):
    return made(f"text-{size}.tok", lambda out: subprocess.run(
        [os.path.join(BIN, "tokenize"), "-q", "-t", data("gpt2"), "-o", out, text(size)], check=True))


# --- the benches ---

GPT2_SMALL = {"n_embd": 768, "n_layer": 12, "n_head": 12}
GPT2_WEIGHTS = 12 * 12 * 768 * 768 + 50257 * 768  # in matrix products, of GPT-2 small
CEILING = {}


def bench_ceiling():
    """Matrix products at the shapes of GPT-2 small, 2048 rows; memory and disk."""
    code = """
import sys, time, torch
kind = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[1]]
flops = seconds = 0
for i, o in ((768, 2304), (768, 768), (768, 3072), (3072, 768), (768, 50257)):
    x, w = torch.randn(2048, i).to(kind), torch.randn(i, o).to(kind)
    times = []
    for _ in range(4):
        t = time.monotonic(); x @ w; times.append(time.monotonic() - t)
    n = 12 if o != 50257 else 1
    flops += n * 2 * 2048 * i * o; seconds += n * min(times)
print(flops / seconds)
"""
    for kind in "f32", "bf16":
        rates = [float(Run([REFS, "-c", code, kind]).out) for _ in range(ROUNDS)]
        CEILING[kind] = max(rates)
        report("ceiling", "matrix products, " + kind, [r / 1e9 for r in rates], "GFLOP/s")
    code = "import numpy,time\na=numpy.ones(1<<27);b=numpy.empty_like(a);b[:]=a\nt=time.monotonic();b[:]=a;print(2*a.nbytes/(time.monotonic()-t))"
    report("ceiling", "memory, copy", [float(Run([REFS, "-c", code]).out) / 1e9 for _ in range(ROUNDS)], "GB/s")
    disk = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        with open(path("disk"), "wb") as f:
            for _ in range(32):
                f.write(b"x" * (8 << 20))
            f.flush()
            os.fsync(f.fileno())
        disk.append((256 << 20) / (time.monotonic() - start) / 1e9)
        os.unlink(path("disk"))
    report("ceiling", "disk, write and fsync", disk, "GB/s")


STEPS = 4  # of which the first is not counted


def bench_train():
    directory, tok = model("gpt2-small", **GPT2_SMALL), tokens(2 << 20)
    for precision in "f32", "bf16":
        # 6 operations a weight and token (forward 2, backward 4), and the causal half of attention
        ceiling = CEILING[precision] / (6 * GPT2_WEIGHTS + 6 * 12 * 768 * 1024) if precision in CEILING else None
        for dropout in "0", "0.1":
            def ours():
                out = path("trained")
                shutil.rmtree(out, ignore_errors=True)
                shutil.rmtree(out + ".partial", ignore_errors=True)
                r = Run([os.path.join(BIN, "cpt-step"), "-q", "-m", directory, "-o", out, "--batch", "2", "--micro-batch", "2", "--context", "1024",
                         "--steps", str(STEPS), "--precision", precision, "--dropout", dropout, "--schedule", "constant", tok],
                        watch=os.path.join(out + ".partial", "train.log.jsonl"))
                return 2048 / statistics.median(r.steps[1:]), r.peak

            def peer(mode):
                def run():
                    r = Run([*PEERS, "train", directory, tok, precision, dropout, "2", "1024", str(STEPS), mode])
                    return 2048 / statistics.median(map(float, r.out.split()[1:])), r.peak
                return run
            compare(f"train {precision}, dropout {dropout}", "tokens/s", ours,
                    {"transformers": peer("eager"), "transformers, compiled": peer("compile")}, ceiling)


def bench_eval():
    directory, tok = model("gpt2-small", **GPT2_SMALL), tokens(1 << 17)
    for precision in "f32", "bf16":
        ceiling = CEILING[precision] / (2 * GPT2_WEIGHTS + 2 * 12 * 768 * 1024) if precision in CEILING else None
        ids = {}

        def ours():
            r = Run([os.path.join(BIN, "ppl-eval"), "-q", "-m", directory, "--protocol", "disjoint", "--precision", precision, "text=" + tok])
            row = r.out.splitlines()[-1].split("\t")
            ids["n"] = int(row[6])
            return ids["n"] / r.wall, r.peak

        def peer():
            r = Run([*PEERS, "eval", directory, "1024", precision, tok])
            return ids["n"] / r.wall, r.peak
        compare(f"evaluate {precision}", "tokens/s", ours, {"transformers": peer}, ceiling, "whole process")


def bench_tokenize():
    size = int(os.environ.get("TEXT_BYTES", 200 << 20))
    source, out = text(size), path("ids")

    def ours(*more):
        def run():
            r = Run([os.path.join(BIN, "tokenize"), "-q", "-t", data("gpt2"), "-o", out, *more, source])
            return size / r.wall / 1e6, r.peak
        return run

    def piped():
        with open(source, "rb") as f:
            cat = subprocess.Popen(["cat"], stdin=f, stdout=subprocess.PIPE)
            r = Run([os.path.join(BIN, "tokenize"), "-q", "-t", data("gpt2"), "-o", out], stdin=cat.stdout)
            cat.stdout.close()
            cat.wait()
        return size / r.wall / 1e6, r.peak

    def peer(kind):
        def run():
            r = Run([*PEERS, "tokenize", kind, made("gpt2-json", tokenizer_json), source, out])
            return size / r.wall / 1e6, r.peak
        return run
    compare("tokenize", "MB/s", ours(), {"palimpsest, one thread": ours("-j", "1"), "palimpsest, from a pipe": piped,
                                         **{k: peer(k) for k in ("gigatoken", "tiktoken")}}, note=f"{size >> 20} MB, file to file")


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

    def step(curve, x, directory, batch, context, steps, *more):
        out = path("scaled")
        for d in out, out + ".partial":
            shutil.rmtree(d, ignore_errors=True)
        r = Run([os.path.join(BIN, "cpt-step"), "-q", "-m", directory, "-o", out, "--batch", str(batch), "--micro-batch", str(batch),
                 "--context", str(context), "--steps", str(steps), "--precision", "bf16", "--dropout", "0", "--schedule", "constant", *more,
                 tokens(2 << 20)], watch=os.path.join(out + ".partial", "train.log.jsonl"))
        shutil.rmtree(out, ignore_errors=True)
        curves.append((curve, x, min(r.steps[1:]), r.peak))
        report(f"scale, {curve} {x}", "palimpsest", [batch * context / min(r.steps[1:])], "tokens/s", [r.peak])

    small = model("gpt2-small", **GPT2_SMALL)
    for context in 128, 256, 512, 1024:
        step("context", context, small, 1, context, 3)
    for batch in 1, 2, 4, 8:
        step("batch", batch, small, batch, 256, 3)
    for name, (width, layers, heads) in SIZES.items():
        weights = 12 * layers * width * width + (50257 + 1024) * width
        config = {"n_embd": width, "n_layer": layers, "n_head": heads}
        directory = model("gpt2-" + name, dtype="bf16", **config)
        # as XL fits: no f32 copy of the weights, moments in bf16
        step("parameters", weights, directory, 1, 256, 3, "--weights", "bf16", "--optimizer-dtype", "bf16", "--recompute", "--dtype", "bf16")
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
    print(f"# {processor}, {os.cpu_count()} threads, {' '.join(flags)}; load {os.getloadavg()[0]:.1f}; {ROUNDS} rounds")
    print("case\twho\trate (least-most)\tunit\tpeak MB\tours / theirs\tof ceiling\tnote")
    names = sys.argv[1:] or ["ceiling", "train", "eval", "tokenize", "embed", "split", "matrix", "pipeline", "scale"]
    for name in names:
        globals()["bench_" + name]()
    with open(path("results.tsv"), "w") as f:
        f.writelines("\t".join(row) + "\n" for row in TABLE)


if __name__ == "__main__":
    main()
