# hostile.bats - files made to take more than they are: each is named and counted, what stands beside
# it is read, and the run's memory stays what it is without them.

load cli.bash

setup() {
    export ESPALIER_BUILD
    use_folder
    espalier-sim --out files:data --impressions 2000 --days 1 --fields small --partitions 1 \
        >/dev/null 2>&1
    printf '[files]\nroot = data\n[features]\ncategorical = advertiser_id, geo.country\n' >e.ini
    printf '[join]\ninstall_window = 1h\n[model]\ntable_memory = 16MiB\n' >>e.ini
}

@test "bombs in container files: memory stays within a few blocks" {
    python3 - <<'END'
import json, os, resource, struct, subprocess, sys, zlib

MIB = 1 << 20
folder = "data/impressions/partition=0"
good = next(f"{folder}/{name}" for name in os.listdir(folder))
data = open(good, "rb").read()
start = data.index(b"avro.schema") + len(b"avro.schema")
size = shift = 0
while True:  # the zigzag length of the schema's text
    byte = data[start]
    start += 1
    size |= (byte & 127) << shift
    shift += 7
    if byte < 128:
        break
schema = json.loads(data[start:start + (size >> 1)])

def long(value):
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])

def text(value):
    return long(len(value)) + value

SYNC = bytes(16)
def head(codec, schema=schema):
    return (b"Obj\x01" + long(2) + text(b"avro.schema") + text(json.dumps(schema).encode()) +
            text(b"avro.codec") + text(codec) + long(0) + SYNC)

def block(n, stored, size=None):
    return long(n) + long(len(stored) if size is None else size) + stored + SYNC

def deflated(n_bytes):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = b"".join(squeeze.compress(bytes(MIB)) for _ in range(n_bytes // MIB))
    return out + squeeze.flush()

# Types that name two of the ones before: written out, two to the 24th.
tower = {"type": "record", "name": "Impression", "namespace": "espalier", "fields": []}
inner = {"type": "record", "name": "t0", "fields": [{"name": "x", "type": "long"}]}
for level in range(1, 25):
    inner = {"type": "record", "name": f"t{level}",
             "fields": [{"name": "a", "type": inner}, {"name": "b", "type": f"t{level - 1}"}]}
tower["fields"] = schema["fields"] + [{"name": "tower", "type": inner}]

wide = [{"name": f"f{i}", "type": {"type": "fixed", "name": f"n{i}", "size": 1}}
        for i in range(9000)]

bombs = {
    "deflate": head(b"deflate") + block(1, deflated(2048 * MIB)),
    "snappy": head(b"snappy") + block(1, b"\xff\xff\xff\xff\x0f" + bytes(64)),
    "many-records": head(b"null") + block(1 << 62, bytes(64)),
    "large-block": head(b"null") + block(1, bytes(64), 1 << 40),
    "large-header": b"Obj\x01" + long(1 << 40) + text(b"avro.schema") + long(1 << 40),
    "negative": head(b"null") + long(-5) + long(-7) + bytes(64),
    "wide-schema": head(b"null", dict(schema, fields=schema["fields"] + wide)) + block(1, b"a"),
    "deep-schema": (b"Obj\x01" + long(1) + text(b"avro.schema") + text(b"[" * 1000000) + long(0) +
                    SYNC + block(1, b"a")),
    "tower": head(b"null", tower) + block(1, bytes(64)),
    "long-text": head(b"null") + block(1, long(1 << 60) + bytes(64)),
}

def train(summary):
    with open("log", "w") as log:
        run = subprocess.Popen(["espalier", "train", "--config", "e.ini", "--summary", summary],
                               stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(run.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024, json.load(open(summary))

code, before, plain = train("plain.json")
assert code == 0, code
for i, (name, bomb) in enumerate(bombs.items()):
    open(f"{folder}/z-{name}.avro", "wb").write(bomb)
code, after, summary = train("summary.json")
log = open("log").read()
print(log)
print(f"{before} MiB without, {after} MiB with")
assert code == 0, code
for name in bombs:
    assert f"z-{name}.avro" in log, name
assert summary["counters"]["impressions"]["labelled"] == plain["counters"]["impressions"]["labelled"]
# A block as it is stored and as it is decoded, and a schema. Sanitizers keep more beside it.
assert any(s in os.environ["ESPALIER_BUILD"] for s in ("asan", "tsan")) or after < before + 300
END
}
