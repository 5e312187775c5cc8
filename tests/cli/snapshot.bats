# snapshot.bats - `espalier snapshot` on folders, files and a topic, and what `check` says of it.

load cli.bash

setup() {
    use_folder
    make=$ESPALIER_BUILD/tests/snapshot/make_snapshots
    run_a=aaaaaaaaaaaaaaaa
}

# A configuration of a broker, with topics of this test's own.
use_kafka() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    prefix=bats-snapshot-$$-$BATS_TEST_NUMBER-$RANDOM-
    printf '[kafka]\nbootstrap.servers = %s\n[features]\ncategorical = user_id\n' \
        "$ESPALIER_TEST_BROKER" >kafka.ini
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
            "$SOURCE/schemas/$kind.avsc" >>kafka.ini
    done
    printf '[output]\nlate_topic = %slate\ndead_letter_topic = %sdead\n' "$prefix" "$prefix" \
        >>kafka.ini
    printf '[drift]\ntopic = %sdrift\n[snapshot]\ntopic = %ssnapshots\n' "$prefix" "$prefix" \
        >>kafka.ini
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --impressions 100 --days 1 \
        --fields small >/dev/null 2>&1
}

name() { # NUMBER
    printf 'main-%s-%012d.safetensors' "$run_a" "$1"
}

@test "list shows what a folder holds, a line each, or as JSON" {
    "$make" snaps main 1 5
    "$make" snaps other 7 7
    run espalier snapshot list --from snaps
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 5 ]
    mentions "1970-01-01T05:00:00Z"
    run espalier snapshot list --from snaps --format json
    [ "$(jq -c '[.[] | [.model, .run, .number, .manifest.examples_learned]]' <<<"$output")" = \
        "[[\"main\",\"$run_a\",3,300],[\"main\",\"$run_a\",4,400],[\"main\",\"$run_a\",5,500],[\"other\",\"$run_a\",7,700]]" ]
    run espalier snapshot list other --from snaps --format json
    [ "$(jq length <<<"$output")" -eq 1 ]
}

@test "show tells the manifest and the tensors of the newest, or of the one that is named" {
    "$make" snaps main 1 3
    run espalier snapshot show --from snaps
    [ "$status" -eq 0 ]
    mentions '"number": 3'
    mentions "embedding.0.keys"
    run espalier snapshot show main@2 --from snaps --format json
    [ "$(jq .manifest.number <<<"$output")" -eq 2 ]
    [ "$(jq '[.tensors[].name | select(startswith("pad."))] | length' <<<"$output")" -eq 0 ]
}

@test "fetch writes the very file" {
    "$make" snaps main 1 3
    run espalier snapshot fetch main@2 --from snaps -o out.safetensors
    [ "$status" -eq 0 ]
    says out.safetensors
    cmp out.safetensors "snaps/$(name 2)"
    espalier snapshot fetch --from snaps
    cmp "$(name 3)" "snaps/$(name 3)"
    run espalier snapshot list --from "$(name 3)"
    [ "${#lines[@]}" -eq 2 ]
}

@test "what is not there, or not said clearly, is an error of one line" {
    "$make" snaps main 1 3
    "$make" snaps other 1 1
    run espalier snapshot fetch main@9 --from snaps
    [ "$status" -eq 65 ]
    says 'espalier: there is no snapshot main@9; `espalier snapshot list` shows what there is'
    run espalier snapshot fetch --from snaps
    [ "$status" -eq 64 ]
    mentions "name one"
    run espalier snapshot fetch main@x --from snaps
    [ "$status" -eq 64 ]
    mentions 'write MODEL or MODEL@NUMBER'
    run espalier snapshot fetch --from nowhere
    [ "$status" -eq 64 ]
    mentions "--from nowhere cannot be read"
    run espalier snapshot fecth --from snaps
    [ "$status" -eq 64 ]
    mentions "did you mean fetch"
    run espalier snapshot
    [ "$status" -eq 64 ]
    mentions "say what to do"
}

@test "verify finds a changed byte, a torn file and a file that is none" {
    "$make" snaps main 1 3
    run espalier snapshot verify --from snaps
    [ "$status" -eq 0 ]
    says_line "main@2, run $run_a: sound"
    cp -r snaps torn
    cp -r snaps strange
    printf 'X' | dd of="snaps/$(name 2)" bs=1 seek=9000 conv=notrunc status=none
    run espalier snapshot verify --from snaps
    [ "$status" -eq 65 ]
    says_line "main@3, run $run_a: sound"
    mentions "$(name 2)"
    run espalier snapshot show main@2 --from snaps
    [ "$status" -eq 65 ]
    run espalier snapshot fetch main@2 --from snaps -o out
    [ "$status" -eq 65 ]
    [ ! -e out ]
    truncate -s 5000 "torn/$(name 3)"
    run espalier snapshot verify --from torn
    [ "$status" -eq 65 ]
    mentions "$(name 3)"
    echo text >strange/notes.safetensors
    run espalier snapshot verify --from strange
    [ "$status" -eq 65 ]
    mentions "notes.safetensors"
}

@test "export holds each key that is used with its row, and every tensor of the network" {
    "$make" snaps main 1 1
    espalier snapshot export --from snaps -o plain.safetensors
    python3 - "snaps/$(name 1)" plain.safetensors <<'END'
import json, struct, sys

def load(path):
    data = open(path, "rb").read()
    n = struct.unpack_from("<Q", data)[0]
    head = json.loads(data[8:8 + n])
    meta = head.pop("__metadata__")
    at = 0
    for entry in sorted(head.values(), key=lambda e: e["data_offsets"]):
        assert entry["data_offsets"][0] == at
        at = entry["data_offsets"][1]
    assert 8 + n + at == len(data)
    part = lambda e: data[8 + n + e["data_offsets"][0]:8 + n + e["data_offsets"][1]]
    return {k: (v, part(v)) for k, v in head.items()}, meta

ours, our_meta = load(sys.argv[1])
plain, meta = load(sys.argv[2])
width = ours["embedding.0.rows"][0]["shape"][1]
keys = struct.unpack("<%dQ" % (len(ours["embedding.0.keys"][1]) // 8), ours["embedding.0.keys"][1])
rows = struct.unpack("<%dI" % len(keys), ours["embedding.0.row_of"][1])
cut = lambda data, r: data[4 * width * r:4 * width * (r + 1)]
want = {k: cut(ours["embedding.0.rows"][1], r) for k, r in zip(keys, rows) if k != 0}
assert len(want) > 3
got_keys = struct.unpack("<%dQ" % len(want), plain["embedding.0.keys"][1])
assert list(got_keys) == sorted(want)
assert plain["embedding.0.rows"][0]["shape"] == [len(want), width]
for i, k in enumerate(got_keys):
    assert cut(plain["embedding.0.rows"][1], i) == want[k]
own = lambda k: k.startswith(("pad.", "embedding.", "features."))
assert {k for k in ours if not own(k)} == {k for k in plain if not k.startswith("embedding.")}
for k in plain:
    if not k.startswith("embedding."):
        assert plain[k][1] == ours[k][1] and plain[k][0]["shape"] == ours[k][0]["shape"]
assert meta["espalier.snapshot"] == our_meta["espalier.manifest"]
END
    espalier snapshot export --from snaps -o again.safetensors
    cmp plain.safetensors again.safetensors
    run espalier snapshot show --from plain.safetensors
    [ "$status" -eq 65 ]
}

@test "check makes a compacted topic of small segments, which then holds snapshots" {
    use_kafka
    run espalier check --config kafka.ini
    [ "$status" -eq 64 ]
    mentions "topic ${prefix}snapshots: missing; run again with --create-topics"
    run espalier snapshot list --config kafka.ini
    [ "$status" -eq 64 ]
    mentions "topic ${prefix}snapshots does not exist"
    espalier check --config kafka.ini --create-topics
    run espalier check --config kafka.ini
    [ "$status" -eq 0 ]
    says_line ready
    run espalier snapshot fetch --config kafka.ini
    [ "$status" -eq 65 ]
    mentions "no snapshots are published there"
    "$make" "kafka:$ESPALIER_TEST_BROKER/${prefix}snapshots" main 1 5
    "$make" snaps main 1 5
    run espalier snapshot list --config kafka.ini --format json
    [ "$(jq -c '[.[].number]' <<<"$output")" = "[3,4,5]" ]
    [ "$(jq -c '.[0].where.chunks' <<<"$output")" = "1" ]
    export TMPDIR=$PWD/tmp
    mkdir tmp
    espalier snapshot fetch main@4 --config kafka.ini -o four
    cmp four "snaps/$(name 4)"
    espalier snapshot show --config kafka.ini >/dev/null
    espalier snapshot export --option snapshot.keep=4 -c kafka.ini -o a
    espalier snapshot export --from snaps -o b
    cmp a b
    run espalier snapshot verify --config kafka.ini
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 3 ]
    [ -z "$(ls -A tmp)" ]
}

@test "what a run publishes is sound, and the same run once more changes nothing" {
    use_kafka
    printf '[join]\nclick_window = 30m\ninstall_window = 1h\n' >>kafka.ini
    espalier check --config kafka.ini --create-topics >/dev/null
    train() {
        espalier train --config kafka.ini -o snapshot.every=3h -o drift.window=3h \
            -o "state.folder=$1" >/dev/null 2>&1
    }
    train one
    espalier snapshot list --config kafka.ini --format json >first.json
    [ "$(jq length first.json)" -eq 3 ]
    espalier snapshot verify --config kafka.ini
    espalier snapshot fetch --config kafka.ini -o newest
    train two
    espalier snapshot list --config kafka.ini --format json >second.json
    cmp first.json second.json
    espalier snapshot fetch --config kafka.ini -o again
    cmp newest again
}

@test "check refuses a topic that would lose snapshots, and says what to change" {
    use_kafka
    espalier check --config kafka.ini --create-topics >/dev/null
    run espalier check --config kafka.ini -o "snapshot.topic=${prefix}impressions"
    [ "$status" -eq 64 ]
    mentions "each use needs a topic of its own"
    run espalier check --config kafka.ini -o "snapshot.topic=${prefix}late" \
        -o "output.late_topic=${prefix}snapshots"
    [ "$status" -eq 64 ]
    mentions "has one partition; snapshots need two at least"
    espalier check --config kafka.ini -o "output.late_topic=${prefix}late2" \
        -o output.partitions=2 --create-topics >/dev/null
    run espalier check --config kafka.ini -o "snapshot.topic=${prefix}late2"
    [ "$status" -eq 64 ]
    mentions "cleanup.policy is delete"
}

# Two runs of main, that of other is its only one; run_b was made last.
retires() { # PLACE [option that names it...]
    run_b=bbbbbbbbbbbbbbbb
    "$make" "$1" main 1 3
    "$make" "$1" other 7 8
    sleep_until_later
    "$make" "$1" main 2 4 $run_b
    shift
    run -64 espalier snapshot retire "$@"
    mentions "say what to retire: --run RUN, or MODEL for all of its runs but the newest"
    run -64 espalier snapshot retire --run bbbb "$@"
    mentions "run $run_b is the newest of model main, and may still be written or used; --force"
    run -0 espalier snapshot retire nobody "$@"
    mentions "there is nothing to retire of what was asked for"
    [ "$(espalier snapshot list "$@" --format json | jq length)" -eq 8 ]
    run -0 espalier snapshot retire main@2 "$@"
    says "main@2, run $run_a: retired"
    run -0 espalier snapshot retire main "$@"
    says "main@1, run $run_a: retired" "main@3, run $run_a: retired"
    [ "$(espalier snapshot list "$@" --format json | jq -c '[.[] | .model + .run[0:1] + (.number | tostring)]')" = \
        '["mainb2","mainb3","mainb4","othera7","othera8"]' ]
    run -0 espalier snapshot verify "$@"
    run -64 espalier snapshot retire --run a other "$@"
    run -0 espalier snapshot retire --run a other --force "$@"
    run -0 espalier snapshot retire --run bbbbbbbbbbbbbbbb --force "$@"
    run -0 espalier snapshot list "$@"
    mentions "no snapshots are published there"
}

# The times of files, by which runs are told apart, must differ.
sleep_until_later() {
    touch before
    until touch after && [ after -nt before ]; do :; done
}

@test "retire takes away the runs that have ended, from a folder" {
    retires snaps --from snaps
    [ -z "$(ls -A snaps)" ]
}

@test "retire takes away the runs that have ended, from a topic" {
    use_kafka
    espalier check --config kafka.ini --create-topics
    retires "kafka:$ESPALIER_TEST_BROKER/${prefix}snapshots" --config kafka.ini
}
