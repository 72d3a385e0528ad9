"""harness.py: for bench.py: one run of a program and what it took, the table of results, and the inputs."""
import json
import os
import re
import statistics
import subprocess
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
    two lines of that file (the first: since the start). With enough, a pattern and a number, it is ended when that many lines of its output match."""

    def __init__(self, command, stdin=None, watch=None, cwd=None, enough=None):
        start = time.monotonic()
        with open(os.path.join(DIR, "stderr"), "wb") as err:
            p = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=err, cwd=cwd, env={**os.environ, "PATH": BIN + ":" + os.environ["PATH"]})
            self.lines, self.matches = [], []
            reader = threading.Thread(target=self.read, args=(p, enough))
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
        self.out = b"".join(self.lines).decode(errors="replace")
        if len(self.matches) < enough[1] if enough else status:
            with open(os.path.join(DIR, "stderr")) as f:
                raise Failed(f"{' '.join(map(str, command))}: status {status}: {f.read().strip().splitlines()[-1:]}")

    def read(self, process, enough):
        for line in process.stdout:
            self.lines.append(line)
            found = enough and re.search(enough[0], line)
            if found:
                self.matches.append(found[1])
                if len(self.matches) == enough[1]:
                    process.kill()


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
    """
    ours, peers' values: functions that run once and give (rate, peak memory). A peer that is missing is said to be.
    ceiling: a function that gives the rate that this machine allows at all, at the time.
    """
    rates, peaks, gone, ceilings = {}, {}, {}, []
    for _ in range(ROUNDS):
        if ceiling:
            ceilings.append(ceiling())
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
        share = statistics.median(a / b for a, b in zip(r, ceilings)) if ceiling else None
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
    return made(f"{os.path.basename(source)}-{size}", make)


def model(name, dtype="f32", **config):
    def make(out):
        with open(path(name + ".json"), "w") as f:
            json.dump({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 50257, "n_positions": 1024,
                       "bos_token_id": 50256, "eos_token_id": 50256, **config}, f)
        subprocess.run([os.path.join(BIN, "model-init"), "-q", "-c", path(name + ".json"), "-t", data("gpt2"), "--dtype", dtype, "-o", out], check=True)
    return made(name, make)


def tokens(size):
    return made(f"{os.path.basename(text(size))}.tok", lambda out: subprocess.run(
        [os.path.join(BIN, "tokenize"), "-q", "-t", data("gpt2"), "-o", out, text(size)], check=True))
