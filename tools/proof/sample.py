"""What the proofs train on: a small campaign in which everything goes wrong a little, and a
configuration in which as much of the program as possible has a state of its own."""

import os
import shutil
import subprocess

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ESPALIER_BUILD", os.path.join(SOURCE, "build", "test"))
BIN = os.path.join(BUILD, "bin")
INPUTS = ("impressions", "clicks", "installs")
OUTPUTS = ("late", "dead-letter", "examples", "drift", "snapshots")

# Late records, wrong clocks, duplicates, clicks of unknown impressions, records without an id.
ROUGH = ["--fields", "small", "--install-window", "4h", "--disorder", "2m", "--duplicates", "0.01",
         "--unmatched", "0.02", "--late", "0.01", "--malformed", "0.002", "--wrong-clocks", "0.002",
         "--ctr", "0.15"]

# Two models that share nothing: one whose rows are admitted and evicted, one with Adam.
CONFIGURATION = """
[join]
click_window = 30m
install_window = 4h
[input]
max_dead_share = 1
at_end = close
[sample]
holdout = 0.15
negatives = 0.6
[features]
categorical = user_id, advertiser_id, campaign_id, app.bundle, geo.country, segments
numeric_log = bid_floor
buckets = hour
cross = advertiser_id x geo.country
[model main]
setup = ipsp
layers = 16
head_layers = 8
width = 8
batch = 64
admit_after = 2
table_memory = 200KiB
sparse_half_life = 12h
[model whole]
setup = esmm
layers = 16
head_layers = 8
width = 4
batch = 100
table_memory = 2MiB
dense_optimizer = adam
dense_rate = 0.001
[drift]
ages = 0, 1, 2, 4, 8
sparse_from = 4
sparse = 4
[run]
threads = 1
"""


def keep_programs(folder):
    """From now on a copy of the programs is run, so that a build meanwhile disturbs nothing."""
    global BIN
    os.makedirs(folder)
    for name in ("espalier", "espalier-sim", "drift-dump", "topic-dump", "espalier-fault.so"):
        shutil.copy(os.path.join(BIN, name), folder)
    BIN = folder


def environment(**more):
    """As the program is run here: OpenBLAS takes the CPU's own kernels."""
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "LD_PRELOAD")}
    env.update(more)
    return env


def simulate(out, impressions, days, seed, *more):
    command = [os.path.join(BIN, "espalier-sim"), "--out", out, "--impressions", str(impressions),
               "--days", str(days), "--seed", str(seed), "--no-truth-topic", *ROUGH, *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        raise SystemExit("espalier-sim: " + done.stderr.strip())


def link_inputs(data, root):
    """A root folder with data's inputs and outputs of its own."""
    os.makedirs(root)
    for topic in INPUTS:
        os.symlink(os.path.join(os.path.abspath(data), topic), os.path.join(root, topic))


def files_configuration(path, keep=1000):
    with open(path, "w") as file:
        file.write("[files]\nroot = root\n" + CONFIGURATION)
        file.write("[snapshot]\nkeep = %d\n[output]\nexamples = on\n[state]\nfolder = state\ncheckpoints = on\n" % keep)


def kafka_configuration(path, broker, inputs, outputs, keep=1000):
    """inputs, outputs: what stands before the names of the topics."""
    with open(path, "w") as file:
        file.write("[kafka]\nbootstrap.servers = %s\n" % broker + CONFIGURATION)
        for topic in INPUTS:
            file.write("[%s]\ntopic = %s%s\nschema = %s/schemas/%s.avsc\n" %
                       (topic, inputs, topic, SOURCE, topic[:-1]))
        text = """[output]
examples = on
late_topic = {0}late
dead_letter_topic = {0}dead-letter
examples_topic = {0}examples
[drift]
topic = {0}drift
[snapshot]
topic = {0}snapshots
keep = {1}
[state]
folder = state
checkpoints = on
"""
        file.write(text.format(outputs, keep))
