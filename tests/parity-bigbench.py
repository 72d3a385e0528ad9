#!/usr/bin/env python3
"""bigbench-eval beside the package bigbench's own code: prompts, likelihoods, responses, scores.

    parity-bigbench.py [--model DIR] [--shots 0,1,2] [--max-examples N] [TASK.json...]
    parity-bigbench.py --write

compares both on task files, those of tests/data/bigbench if none are given, with bigbench-eval from the path. --write makes these task files and
what the package says about them, expected.jsonl.gz (prompts and replies), expected.json (scores) and metrics.json.gz (metrics, regular expressions and
random numbers by themselves), which `make test` compares with.

It needs bigbench 1.0.0, t5, sacrebleu, rouge_score, scikit-learn, transformers and torch. bigbench and t5 can be installed without what they depend on
(pip install --no-deps): only json_task and metrics are imported, and TensorFlow is replaced by a stub. Where the package draws text
from the model it samples; here it decodes greedily, as bigbench-eval does. Its ROUGE is the median of 1000 bootstrap means: compared within 0.5.
"""
import argparse
import collections
import gzip
import importlib.machinery
import importlib.util
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import types

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data", "bigbench")
FILES = ["shop", "story", "sums", "soft", "count", "likely"]


class Stub(types.ModuleType):
    """A module of which everything can be imported, and nothing works."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub(name)

    def __call__(self, *a, **k):
        raise RuntimeError("not there: " + self.__name__)


def stub(name):
    m = Stub(name)
    m.__path__ = []
    m.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = m
    return m


def import_package():
    """bigbench.api.json_task with real metrics, but neither TensorFlow nor all of t5."""
    tf = stub("tensorflow")
    for name in ("tensorflow.compat", "tensorflow.compat.v1", "tensorflow.compat.v2", "editdistance", "datasets"):
        stub(name)
    v2 = sys.modules["tensorflow.compat.v2"]
    v2.io = types.SimpleNamespace(gfile=types.SimpleNamespace(
        isdir=os.path.isdir, glob=lambda p: [p] if os.path.exists(p) else [], GFile=open))
    tf.compat = sys.modules["tensorflow.compat"]
    tf.compat.v2 = v2
    tf.compat.v1 = sys.modules["tensorflow.compat.v1"]
    for name in ("t5", "t5.evaluation"):
        where = importlib.util.find_spec("t5").submodule_search_locations[0] if name == "t5" else os.path.join(sys.modules["t5"].__path__[0], "evaluation")
        m = types.ModuleType(name)
        m.__path__ = [where]
        sys.modules[name] = m
    from t5.evaluation import metrics
    sys.modules["t5.evaluation"].metrics = metrics
    from bigbench.api import json_task, task_metrics
    from bigbench.models import model_utils
    return json_task, task_metrics, model_utils


def make_model(directory, model_utils, max_length=256):
    import torch
    import transformers
    from bigbench.api import model as api

    torch.set_num_threads(1)
    lm = transformers.AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32).eval()
    tok = transformers.PreTrainedTokenizerFast(tokenizer_file=os.path.join(directory, "tokenizer.json"))
    positions = lm.config.max_position_embeddings
    end = lm.config.eos_token_id

    class Model(api.Model):
        """The package's BIGBenchHFModel on torch, one sequence at a time, greedy."""

        def __init__(self):
            self.asked = []

        def ids(self, text):
            return tok(text, add_special_tokens=False)["input_ids"]

        def fit(self, ids):
            return ids[-(positions - 1):] if len(ids) >= positions else ids

        def generate_text(self, inputs, max_length_=0, stop_string=None, output_regex=None):
            out = []
            for text in inputs:
                ids = self.fit(self.ids(text) or [end])
                n = len(ids)
                with torch.no_grad():
                    all = lm.generate(torch.tensor([ids]), max_length=min(n + max_length, positions), do_sample=False,
                                      pad_token_id=end, attention_mask=torch.ones(1, n, dtype=torch.long))
                raw = tok.decode(all[0, n:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
                out.append(model_utils.postprocess_output(raw, max_length, stop_string, output_regex))
            self.asked.append(("text", list(inputs), out))
            return out

        def cond_log_prob(self, inputs, targets, absolute_normalization=True):
            assert absolute_normalization
            out = []
            for text, choices in zip(inputs, targets):
                before, scores = self.ids(text), []
                for choice in choices:
                    target = self.ids(choice)
                    ids = self.fit(before + target)
                    n = min(len(target), len(ids) - 1)
                    with torch.no_grad():
                        logp = lm(torch.tensor([ids])).logits[0].double().log_softmax(-1)
                    scores.append(sum(float(logp[len(ids) - n - 1 + k, ids[len(ids) - n + k]]) for k in range(n)))
                out.append(scores)
            self.asked.append(("likelihood", list(inputs), out))
            return out

        def model_data(self):
            return None

    return Model()


def run_package(json_task, model, path, shots, most):
    """Rows (task, shots) -> scores, and (task, shots) -> list of prompt, choice_log_likelihoods, response."""
    task = json_task.JsonTask(path, shot_list=list(shots), max_examples=most)
    leaves = task.subtasks or [task]
    replies = {}
    for leaf in leaves:
        original = leaf.evaluate_fixed_shot

        def wrapped(model, num_shots, leaf=leaf, original=original, **k):
            model.asked = []
            result = original(model, num_shots, **k)
            n = len(leaf.shot_examples[num_shots])
            rows = [{"prompt": None} for _ in range(n)]
            kinds = (["choice_log_likelihoods"] if leaf.multiple_choice_metrics else []) + (
                ["response"] if leaf.generative_metrics else []) + (["target_log_likelihoods"] if leaf.scoring_metrics else [])
            for kind, (_, inputs, out) in zip(kinds, model.asked):
                for row, i, o in zip(rows, inputs, out):
                    row["prompt"] = i
                    row[kind] = o
            replies[leaf.name, num_shots] = rows
            return result

        leaf.evaluate_fixed_shot = wrapped
        leaf.generative_metrics = [m for m in leaf.generative_metrics if m != "bleurt"]
        if leaf.preferred_score == "bleurt":
            raise SystemExit(path + ": bleurt is not compared")
    with open(os.devnull, "w") as null:
        old, sys.stdout = sys.stdout, null
        try:
            scores = task.evaluate_model(model)
        finally:
            sys.stdout = old
    table = {}
    for s in scores:
        table[s.subtask_description, s.number_of_shots] = {
            "scores": s.score_dict, "preferred": s.preferred_score, "low": s.low_score, "high": s.high_score}
    return table, replies


def run_ours(directory, path, shots, most):
    with tempfile.TemporaryDirectory() as tmp:
        samples = os.path.join(tmp, "s.jsonl")
        out = subprocess.run(["bigbench-eval", "-q", "-m", directory, "--shots", ",".join(map(str, shots)), "--samples", samples]
                             + (["--max-examples", str(most)] if most else []) + [path], check=True, stdout=subprocess.PIPE, text=True).stdout
        lines = out.splitlines()
        head = lines[1].split("\t")
        table, replies = collections.defaultdict(dict), collections.defaultdict(list)
        for l in lines[2:]:
            r = dict(zip(head, l.split("\t")))
            table[r["task"], int(r["shots"])][r["metric"]] = r
        with open(samples) as f:
            for l in f:
                s = json.loads(l)
                replies[s["task"], s["shots"]].append(s)
    return table, replies


def compare(theirs, ours, path):
    table, replies = theirs
    our_table, our_replies = ours
    bad = n = 0
    worst = 0.0

    def differ(*what):
        nonlocal bad
        bad += 1
        if bad <= 10:
            print("DIFFERENT", path, *what)

    for key, rows in replies.items():
        mine = our_replies[key]
        if len(mine) != len(rows):
            differ(key, len(mine), len(rows))
            continue
        for a, b in zip(rows, mine):
            n += 1
            if a["prompt"] != b["prompt"]:
                differ(key, "prompt", repr(a["prompt"]), repr(b["prompt"]))
            for kind in ("choice_log_likelihoods", "target_log_likelihoods"):
                for x, y in zip(a.get(kind, []), b.get(kind, [])):
                    worst = max(worst, abs(x - y) / max(1, abs(x)))
                    if abs(x - y) > 1e-4 * max(1, abs(x)):
                        differ(key, kind, x, y)
                if (kind in a) != (kind in b):
                    differ(key, kind, "is missing")
            if a.get("response") != b.get("response"):
                differ(key, "response", repr(a.get("response")), repr(b.get("response")))
    for key, t in table.items():
        for metric, value in t["scores"].items():
            row = our_table[key].get(metric)
            score = float(row["score"]) if row and row["score"] != "-" else math.nan
            slack = 0.5 if metric.startswith("rouge") else 1e-4 * max(1, abs(value))
            if metric == "normalized_aggregate_score" and t["preferred"].startswith("rouge"):
                slack = 0.5
            if not abs(score - value) <= slack:
                differ(key, metric, value, row and row["score"])
        row = our_table[key][t["preferred"]]
        if abs(float(row["low"]) - t["low"]) > 1e-9 or abs(float(row["high"]) - t["high"]) > 1e-9 or row["preferred"] != "yes":
            differ(key, "range", t["low"], t["high"], row)
    print("%s: %d prompts, %d rows of scores, %d different, largest difference of a likelihood %.1e" % (path, n, len(table), bad, worst))
    return bad


# ---- task files of our own ----

THINGS = "lamp rope mirror kettle basket candle hammer bottle ladder pillow saddle needle anchor bucket whistle blanket".split()
PLACES = "kitchen harbour cellar garden attic workshop stable market".split()
COLOURS = "red green blue yellow black white".split()


def header(name, **more):
    return {"canary": "none: made up for a test", "name": name, "description": "made up", "keywords": ["test"], **more}


def write_tasks(model):
    rng = random.Random(7)

    def put(name, task):
        path = os.path.join(DATA, name, "task.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            json.dump(task, f, indent=1, ensure_ascii=False)
            f.write("\n")

    # All defaults; a repeated example; two that differ in their answers alone.
    examples = []
    for i in range(14):
        right, *wrong = rng.sample(THINGS, 3 + i % 3)
        choices = [(right, 1)] + [(w, 0) for w in wrong]
        rng.shuffle(choices)
        examples.append({"input": "Which thing is in the %s? A %s %s." % (rng.choice(PLACES), rng.choice(COLOURS), right),
                         "target_scores": dict(choices), "comment": i})
    examples.append(dict(examples[3]))
    examples.append({"input": examples[4]["input"], "target_scores": {right: 1, "façade – naïve": 0}})
    put("shop", header("shop", metrics=["multiple_choice_grade", "macro_f1", "weighted_probabilities", "weighted_log_probabilities"],
                       preferred_score="multiple_choice_grade", examples=examples))

    # Texts; several targets, some of them what the model says itself; prefixes, separator, stop string.
    examples = []
    for i in range(12):
        text = "the %s %s in the %s was" % (rng.choice(COLOURS), rng.choice(THINGS), rng.choice(PLACES))
        examples.append({"input": text, "target": []})
    fields = {"task_prefix": "A story in parts.\n", "example_input_prefix": "First, ", "example_output_prefix": "", "stop_string": "."}
    said = model.generate_text([fields["task_prefix"] + fields["example_input_prefix"] + e["input"] for e in examples], stop_string=".")
    for i, (e, s) in enumerate(zip(examples, said)):
        words = s.split(" ")
        other = [" ".join(words[: 1 + len(words) // 2] + rng.sample(THINGS, 3)), "a %s, in 1,000 places; 5%% more (%s)." % (rng.choice(THINGS), i)]
        e["target"] = [s, other[1]] if i % 3 == 0 else other if i % 3 == 1 else other[0]
    put("story", header("story", metrics=["bleu", "rouge", "exact_str_match", "case_insensitive_str_match", "sequence_f1"], preferred_score="rougeLsum",
                        few_shot_example_separator="\n--\n", examples=examples, **fields))

    # A group: two folders, one of them with what the model says as the answer of some.
    put("sums", header("sums", keywords=["group"]))
    for name, sign in (("add", "+"), ("take", "-")):
        examples = []
        for i in range(11):
            a, b = rng.randint(2, 60), rng.randint(1, 40)
            right = str(a + b if sign == "+" else a - b)
            scores = {right: 1}
            while len(scores) < 4:
                scores.setdefault(str(int(right) + rng.randint(-9, 9)), 0)
            choices = list(scores.items())
            rng.shuffle(choices)
            examples.append({"input": "%d %s %d = " % (a, sign, b), "target": right, "target_scores": dict(choices)})
        fields = {"example_input_prefix": "", "example_output_prefix": ""}
        regex = r"[-+]?\d+" if name == "add" else r"([-+]?\d+)[.]{0,1}"
        said = model.generate_text([e["input"] for e in examples], output_regex=regex)
        for e, s in list(zip(examples, said))[::2]:
            if s:
                e["target"] = s
        put("sums/" + name, header(name + " ½", metrics=["exact_str_match", "multiple_choice_grade"] + (["numeric_match_with_0_1_relative_error"] if name == "take" else []),
                                   preferred_score="exact_str_match" if name == "add" else "numeric_match_with_0_1_relative_error",
                                   append_choices_to_input=False, output_regex=regex, examples=examples, **fields))

    # Soft scores, equal choices (ties), absolute normalisation, choices without line breaks.
    examples = []
    for i in range(13):
        two = rng.sample(COLOURS, 3)
        examples.append({"input": "%s or %s?" % (two[0], two[1]), "target_scores": {two[0]: 0.6, two[1]: 0.4, two[2]: 0.0}})
    put("soft", header("soft", metrics=["multiple_choice_grade"], preferred_score="multiple_choice_grade", absolute_normalization=True,
                       choice_prefix=" | ", example_output_prefix="\nMine: ", examples=examples))

    # Long prompts, more than the model's positions.
    examples = []
    for i in range(8):
        list_ = [rng.choice(THINGS) for _ in range(60 + 10 * i)]
        n = list_.count(list_[0])
        examples.append({"input": "Count the word %s: %s." % (list_[0], ", ".join(list_)), "target": str(n),
                         "target_scores": {str(k): int(k == n) for k in range(max(1, n - 2), n + 3)}})
    put("count", header("count", metrics=["multiple_choice_grade", "exact_str_match"], preferred_score="multiple_choice_grade",
                        output_regex="(?i)[a-z]+|\\d{1,3}?", examples=examples))

    # The likelihood of the targets.
    examples = [{"input": "In the %s stood" % p, "target": " a %s %s" % (rng.choice(COLOURS), rng.choice(THINGS))} for p in PLACES]
    put("likely", header("likely", metrics=["log_likelihood"], preferred_score="log_likelihood", examples=examples))


# ---- the parts by themselves ----

def metric_cases(task_metrics, json_task):
    """Random answers and choices, and what the package's metrics say."""
    import numpy as np

    rng = random.Random(11)
    words = "the cat sat on a mat . , ; U.S. 3.14 1,000 5% $20 (so) don't naïve café “quoted” 日本 ½ x² end-to-end A_b £5 K İstanbul\tTab".split(" ")

    def sentence(n):
        return "".join(rng.choice(words) + rng.choice([" ", " ", " ", "  ", "", "\n", " . "]) for _ in range(n))

    texts = []
    for case in range(24):
        responses, targets = [], []
        for _ in range(rng.randint(1, 5)):
            t = [sentence(rng.randint(0 if k else 1, 14)) for k in range(rng.randint(1, 3))]
            r = rng.choice(t)
            for _ in range(rng.randint(0, 6)):
                cut = rng.randint(0, len(r))
                r = r[:cut] + rng.choice(words + [""]) + r[cut + rng.randint(0, 4):]
            responses.append(r if rng.random() < 0.8 else rng.choice(["", t[0], " " + t[0].upper() + "\n"]))
            targets.append(t)
        one = []
        for t, r in zip(targets, responses):
            f = task_metrics.rouge_fn([t], [r])
            one.append([f["rouge1"], f["rouge2"], f["rougeLsum"]])
        texts.append({"responses": responses, "targets": targets, "bleu": task_metrics.bleu_fn(targets, responses)["bleu"],
                      "rouge": [float(x) for x in np.mean(one, axis=0)],
                      "exact": task_metrics.exact_str_match_fn(targets, responses)["exact_str_match"],
                      "folded": task_metrics.case_insensitive_str_match_fn(targets, responses)["case_insensitive_str_match"],
                      "sequence_f1": float(task_metrics.sequence_f1_fn(targets, responses)["sequence_f1"])})

    numbers = []
    for t in ["3", "-3", "0", "1e3", "1_000", " 2.5 ", "inf", "nan", "x", "0x10", ".5", "5."]:
        for r in ["3", "3.2", "3.4", "-3", "1000", " 2.6\n", "", "1__0", "_1", "1_", "1e", "1e+2", "+.5", "5.", "Infinity", "-nan", "0x10", "3 4", ".", "e5", "１２"]:
            numbers.append([t, r, bool(task_metrics.check_if_numeric_value_is_within_relative_error(r, [t], 0.1))])

    choices = []
    for case in range(12):
        samples = []
        hard = case % 2 == 0
        for _ in range(rng.randint(1, 30)):
            n = rng.randint(2, 6)
            lp = [-10 * rng.random() for _ in range(n)]
            if rng.random() < 0.4:
                lp[rng.randrange(n)] = lp[0] = max(lp)
            score = [0.0] * n
            if hard:
                score[rng.randrange(n)] = 1.0
            else:
                score = [round(rng.random(), 2) for _ in range(n)]
            name = [chr(97 + k) for k in range(n)]
            norm = list(np.array(lp) - json_task.logsumexp(lp))
            samples.append({"choice": name, "target_scores": dict(zip(name, score)), "absolute_log_prob": lp, "normalized_log_prob": norm, "log_prob": norm})
        names = ["multiple_choice_grade", "calibration_multiple_choice_brier_score", "expected_calibration_error", "weighted_log_probabilities",
                 "weighted_probabilities"] + (["macro_f1"] if hard else [])
        result = {m: float(task_metrics.MULTIPLE_CHOICE_FN[m](samples)) for m in names}
        choices.append({"log_prob": [s["absolute_log_prob"] for s in samples], "scores": [list(s["target_scores"].values()) for s in samples], "result": result})

    patterns = [json_task._DEFAULT_REGEX, r"[-+]?\d+", r"([-+]?\d+)[.]{0,1}$", r"'.*?'", r"('.*?')", r"\[(?:\d+, )*(?:\d+)?\]", r"[^\n]+",
                r"(?:[0-9]+\.[0-9]+|[0-9]+)\s[a-zA-Z]+(?:\/[a-zA-Z]+)*", r"[a-h][1-8]", r"(?i)hydrogen|helium|k[a-f]s", r"[\w]+", r"\bca\w*?t\b", r"a*", r"(a|ab)(?:c|bcd)", r"(?:a*)*b",
                r"x{2,3}?", r"x{,2}y", r"^\s*(\S+)", r"\Athe|end\Z", r"[]a-]+", r"[^]\]]", r"(?:(?:ab)+|c)*?d", r"\W\D\s?", r"{a", r"é+|[а-я]+", r"\d{4}-\d\d", r"(?:a?){5}a{5}", r"$"]
    subjects = ["", "a", "the cat sat on 12 mats. Then?", "x = -42.", "-42", "+7.\n", "'a' 'b", "say 'it''", "[1, 2, 3] [", "[]", "3.5 km/h", "10 m", "e4 e5", "HELIUM", "ſ\u212aAſ hydro", "kas KAſ",
                "caat cat cot", "aaaaab", "abcd", "acd", "xxxx", "xy xxxy", "  lead 1", "the end", "]a-", "ab ab abd", "{a{", "éé мир", "2026-11-23", "aaaaa", "٣٤ ½", "line\nline2\n", "under_score"]
    regexes = []
    for p in patterns:
        for s in subjects:
            regexes.append([p, s, next(iter(re.findall(p, s)), "")] if re.compile(p).groups <= 1 else None)
    rngs = []
    for seed, n in [(42, 1), (42, 2), (42, 5), (0, 10), (42, 1000), (4294967295, 17)]:
        r = np.random.RandomState(seed)
        rngs.append([seed, n, [int(x) for x in r.permutation(n)][:20], [int(r.randint(0, k)) for k in (1, 2, 3, 7, 100, 65537)]])
    return {"texts": texts, "numbers": numbers, "choices": choices, "regexes": regexes, "random": rngs}


def put_gz(path, text):
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        f.write(text.encode())


def write(json_task, task_metrics, model):
    write_tasks(model)
    put_gz(os.path.join(DATA, "metrics.json.gz"), json.dumps(metric_cases(task_metrics, json_task)))
    tables, lines = [], []
    for name in FILES:
        for shots, most in (((0, 1, 3), None), ((0, 2), 6)):
            table, replies = run_package(json_task, model, os.path.join(DATA, name, "task.json"), shots, most)
            for (task, k), t in table.items():
                tables.append({"file": name, "max": most or 0, "task": task, "shots": k, **t})
            for (task, k), rows in replies.items():
                for r in rows:
                    lines.append(json.dumps({"file": name, "max": most or 0, "task": task, "shots": k, **r}, sort_keys=True))
    put_gz(os.path.join(DATA, "expected.jsonl.gz"), "\n".join(lines) + "\n")
    with open(os.path.join(DATA, "expected.json"), "w") as f:
        json.dump(tables, f, indent=0, sort_keys=True, default=float)
        f.write("\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--write", action="store_true")
    p.add_argument("--model", default=os.path.join(HERE, "..", "examples", "base"))
    p.add_argument("--shots", default="0,1,3")
    p.add_argument("--max-examples", type=int)
    p.add_argument("task", nargs="*")
    a = p.parse_args()
    json_task, task_metrics, model_utils = import_package()
    model = make_model(a.model, model_utils)
    if a.write:
        write(json_task, task_metrics, model)
        return
    bad = 0
    shots = [int(k) for k in a.shots.split(",")]
    for path in a.task or [os.path.join(DATA, n, "task.json") for n in FILES]:
        bad += compare(run_package(json_task, model, path, shots, a.max_examples), run_ours(a.model, path, shots, a.max_examples), path)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
