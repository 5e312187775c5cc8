"""What a run left behind, and how two runs differ: the summary's figures, the records of its
outputs, the snapshots."""

import glob
import hashlib
import json
import os
import re
import subprocess

import sample
from sample import environment

# How a run came about, and what its process has paged out; everything else in the summary must be the same.
HISTORY = re.compile(r"^(checkpoints|join)(\.|$)")


def flat(value, path=""):
    """A JSON value as {"path.to.figure": figure}."""
    if isinstance(value, dict):
        items = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, list):
        items = [(str(i), v) for i, v in enumerate(value)]
    else:
        return {path: value}
    out = {}
    for name, member in items:
        out.update(flat(member, path + "." + name if path else name))
    return out


def summary(path):
    with open(path) as file:
        figures = flat(json.load(file))
    return {"summary " + k: v for k, v in figures.items() if not HISTORY.search(k)}


def varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at


def container(path):
    """The number of records of an uncompressed Avro container file, and their bytes: those of its
    whole blocks."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) == 0:
        return 0, b""
    if data[:4] != b"Obj\1":
        raise ValueError(path + ": no Avro container")
    at = 4
    while True:
        n, at = varint(data, at)
        if n == 0:
            break
        for _ in range(n * 2):
            size, at = varint(data, at)
            at += size
    sync = data[at:at + 16]
    at += 16
    records, parts = 0, []
    while at < len(data):
        n, at = varint(data, at)
        size, at = varint(data, at)
        if at + size + 16 > len(data) or data[at + size:at + size + 16] != sync:
            raise ValueError("%s: a damaged block at %d" % (path, at))
        parts.append(data[at:at + size])
        records += n
        at += size + 16
    return records, b"".join(parts)


def drift_lines(root):
    """Each drift record by its key; a key that stands there twice is an error."""
    if not os.path.isdir(os.path.join(root, "espalier.drift")):
        return {}
    done = subprocess.run([os.path.join(sample.BIN, "drift-dump"), root], capture_output=True, text=True,
                          env=environment())
    if done.returncode != 0:
        return {"drift records": "cannot be read: " + done.stderr.strip()}
    return {"drift " + line.split(" ", 1)[0]: line for line in done.stdout.splitlines()}


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def files(root, summary_path, outputs=("late", "dead-letter", "examples")):
    """What a run over files left: {what: value}, two of which are equal if the runs were."""
    left = summary(summary_path)
    for output in outputs:
        topic = os.path.join(root, "espalier." + output)
        for folder in sorted(glob.glob(topic + "*/partition=*")):
            n, parts = 0, []
            for path in sorted(glob.glob(folder + "/*.avro")):
                try:
                    records, data = container(path)
                except (ValueError, IndexError) as error:
                    left["damage " + os.path.relpath(path, root)] = str(error)
                    continue
                n += records
                parts.append(data)
            name = os.path.relpath(folder, root)
            left["%s records" % name] = n
            left["%s bytes" % name] = digest(b"".join(parts))
    left.update(drift_lines(root))
    for path in glob.glob(os.path.join(root, "espalier.snapshots", "*")):
        with open(path, "rb") as file:
            left["snapshot " + os.path.basename(path)] = digest(file.read())
    for path in glob.glob(os.path.join(root, "espalier.snapshots", ".*")):
        left["left over " + os.path.relpath(path, root)] = "a hidden file"
    return left


def differences(want, got, ignored=()):
    """Lines that tell what is not the same; ignored: expressions for the beginning of what is."""
    lines = []
    for what in sorted(set(want) | set(got)):
        if any(re.match(expression, what) for expression in ignored):
            continue
        if want.get(what) != got.get(what):
            values = ["%.60s" % (side[what],) if what in side else "nothing" for side in (want, got)]
            lines.append("%s: %s undisturbed, %s here" % (what, *values))
    return lines


def by_key(broker, topic):
    """The last value of each key of a topic, as {key: "SIZE HASH"}."""
    done = subprocess.run([os.path.join(sample.BIN, "topic-dump"), broker, topic], capture_output=True,
                          text=True, env=environment())
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())
    values = {}
    for line in done.stdout.splitlines():
        partition, offset, key, size, value = line.split(" ")
        values[key if key != "-" else "record %s/%s" % (partition, offset)] = size + " " + value
    return values


def broker(address, prefix, configuration, summary_path):
    """What a run over a broker left; a manifest is compared without what it says of
    the moment it was made at: the clock's time, and how far the input had been read."""
    left = {what.replace(prefix, ""): value for what, value in summary(summary_path).items()}
    for output in ("late", "dead-letter", "examples", "drift"):
        for key, value in by_key(address, prefix + output).items():
            left["%s %s" % (output, key)] = value
    for key, value in by_key(address, prefix + "snapshots").items():
        if key.count("/") == 3:
            left["chunk " + key] = value
    listed = subprocess.run([os.path.join(sample.BIN, "espalier"), "snapshot", "--config", configuration,
                             "--format", "json", "list"], capture_output=True, text=True,
                            env=environment(), cwd=os.path.dirname(configuration))
    if listed.returncode != 0:
        raise SystemExit("espalier snapshot list: " + listed.stderr.strip())
    for one in json.loads(listed.stdout):
        name = "snapshot %s/%s/%s" % (one["run"], one["model"], one["number"])
        left[name] = "%s %s %s" % (one["size"], one["checksum"], one["boundary"])
    return left


def in_short(lines, most=3):
    """The first lines of each kind of thing, and how many more there are."""
    kinds = {}
    for line in lines:
        kinds.setdefault(line.split(" ", 1)[0], []).append(line)
    short = []
    for same in kinds.values():
        short += same[:most]
        if len(same) > most:
            short.append("... and %d more of these" % (len(same) - most))
    return short
