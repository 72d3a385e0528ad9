"""mutate-safetensors.py DIR N: writes DIR/0 ... DIR/N-1, files that are nearly safetensors, and prints 1 for each that the
reference reader takes, 0 for each that it refuses. Headers are changed as text and as structure; the sizes stay mostly right,
so that it is the header that decides."""
import json, random, struct, sys
from safetensors import deserialize

r = random.Random(7)
out, n = sys.argv[1], int(sys.argv[2])
sizes = {"U8": 1, "BOOL": 1, "I16": 2, "BF16": 2, "F32": 4, "I64": 8}


def header():
    h, at = {}, 0
    if r.random() < 0.5:
        h["__metadata__"] = {"format": "pt"}
    for i in range(r.randrange(4)):
        dtype, shape = r.choice(list(sizes)), [r.randrange(4) for _ in range(r.randrange(3))]
        size = sizes[dtype]
        for s in shape:
            size *= s
        h["t%d" % i] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return h, at


def bend(h):
    """One change of structure."""
    tensors = [k for k in h if k != "__metadata__"]
    odd = [-1, 0, 1, 2**32, 2**53 + 1, 2**63, 2**64, 1.0, 1e3, "1", None, [], {}, True]
    if not tensors:
        h["__metadata__"] = r.choice([None, [], {"a": 1}, {"a": None}, {"a": "b"}, "x", {}])
        return
    t = h[r.choice(tensors)]
    what = r.randrange(9)
    if what == 0:
        t["shape"] = r.choice([t["shape"] + [r.choice(odd)], r.choice(odd), t["shape"][::-1], t["shape"] + [1]])
    elif what == 1:
        t["data_offsets"][r.randrange(2)] = r.choice(odd)
    elif what == 2:
        t["data_offsets"] = r.choice([t["data_offsets"][::-1], t["data_offsets"] + [0], [x + 1 for x in t["data_offsets"]]])
    elif what == 3:
        t["dtype"] = r.choice(["F8", "f32", "F64", "U8", "", None, 5, "C64", "F8_E4M3", "F4"])
    elif what == 4:
        del t[r.choice(list(t))]
    elif what == 5:
        t["extra"] = 1
    elif what == 6:
        h[""] = t
    elif what == 7:
        h["copy"] = dict(t)
    else:
        h["t0"], h[tensors[-1]] = h[tensors[-1]], h["t0"]


for i in range(n):
    h, size = header()
    if r.random() < 0.6:
        bend(h)
    text = json.dumps(h, separators=r.choice([(",", ":"), (", ", ": ")]), ensure_ascii=r.random() < 0.5)
    k = r.random()
    if k < 0.3 and len(text) > 2:
        at = r.randrange(len(text))
        text = r.choice([
            text[:at] + r.choice('{}[]",:0\\ \n\x01') + text[at + 1:], text[:at] + text[at + 1:], text + " " * r.randrange(9), " " + text,
            text + "\0", text + "x", text.replace("t1", "t0"), text.replace('"t0"', '"\\ud800"'), text.replace("t0", "t\\u0000"), text[:at],
            text.replace('"dtype"', '"dtype":"U8","dtype"', 1), text.replace("[0", "[00"), text.replace("0,", "0.0,"), text.replace("[0,", "[-0,")])
    data = text.encode("utf-8", "surrogatepass")
    if r.random() < 0.05 and data:
        at = r.randrange(len(data))
        data = data[:at] + bytes([r.randrange(128, 256)]) + data[at + 1:]
    length = len(data) + (r.choice([-1, 1, 8, 2**40]) if r.random() < 0.05 else 0)
    size += r.choice([-1, 1, 5]) if r.random() < 0.05 else 0
    whole = struct.pack("<Q", max(length, 0)) + data + bytes(max(size, 0))
    with open("%s/%d" % (out, i), "wb") as f:
        f.write(whole)
    try:
        deserialize(whole)
        print(1)
    except Exception:
        print(0)
