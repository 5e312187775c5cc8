# score_kill.bats - a scoring run that is killed at any moment goes on without a gap and without a
# record twice, in files as they stand.

load cli.bash
load score.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    mkdir data
    cat >e.ini <<'INI'
[files]
root = data
[output]
partitions = 3
[features]
categorical = user_id, advertiser_id, geo.country
[model]
layers = 8
head_layers = 4
INI
    espalier-sim --out files:data --impressions 30000 --days 1 --fields small --partitions 2 \
        --malformed 0.02 >/dev/null 2>&1
    learn one.safetensors 1 >want
}

teardown() {
    end_background
}

written() {
    find data/espalier.scores -name '*.avro' -printf '%s\n' 2>/dev/null |
        awk '{ n += $1 } END { print n + 0 }'
}

# Ends the run with a signal once it has written so many bytes more than there were, or let it end.
run_until() { # SIGNAL BYTES
    local begin
    begin=$(written)
    espalier score --config e.ini --snapshot one.safetensors --read-batch 16 >/dev/null 2>&1 3>&- &
    pid=$!
    while kill -0 "$pid" 2>/dev/null && (($(written) < begin + $2)); do
        read -rt 0.01 <> <(:) || true
    done
    kill "-$1" "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
}

letters() {
    cat data/espalier.dead-letter-espalier.scores/partition=*/*.avro | grep -aoc 'no id'
}

@test "killed again and again, every impression is scored once, in order" {
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    score_tool scores e.ini >undisturbed
    same_records want undisturbed
    dead=$(letters)
    rm -rf data/espalier.* espalier-state
    # A file of an earlier run of somebody else's is nobody's to take away.
    mkdir -p data/espalier.scores/partition=0
    echo "not ours" >data/espalier.scores/partition=0/notes.txt
    RANDOM=7
    for round in {1..8}; do
        if ((round % 3 == 0)); then signal=TERM; else signal=KILL; fi
        run_until "$signal" $((RANDOM * 40 % 1200000))
        [ -e espalier-state/score.impressions.espalier.scores.json ]
    done
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    score_tool scores e.ini >got
    [ "$(wc -l <got)" = "$(wc -l <undisturbed)" ]
    same_records want got
    in_order want got 3
    [ "$(letters)" = "$dead" ]
    [ "$(jq .stopped s.json)" = false ]
    grep -q "not ours" data/espalier.scores/partition=0/notes.txt
}

@test "an output that was cut off by hand is refused, and the mend is said" {
    espalier score --config e.ini --snapshot one.safetensors >/dev/null 2>&1
    file=$(find data/espalier.scores/partition=1 -name '*.avro')
    truncate -s -1 "$file"
    run --separate-stderr espalier score --config e.ini --snapshot one.safetensors
    [ "$status" -eq 65 ]
    [[ $stderr == *"$(basename "$file"): it is not the file that this run wrote"*"begin anew"* ]]
}

@test "positions of the version before are taken as they are" {
    espalier score --config e.ini --snapshot one.safetensors >/dev/null 2>&1
    score_tool scores e.ini >before
    state=espalier-state/score.impressions.espalier.scores.json
    jq '.version = 1 | del(.marks)' "$state" >old
    mv old "$state"
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq .read s.json)" = 0 ]
    score_tool scores e.ini >after
    diff before after
    [ "$(jq -c '[.version, (.marks | length)]' "$state")" = '[2,2]' ]
}

@test "a file that comes to stand before others moves no position" {
    mkdir kept
    mv data/impressions/partition=1/*.avro kept/second.avro
    mv data/impressions/partition=0/*.avro data/impressions/partition=0/m.avro
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    cp kept/second.avro data/impressions/partition=0/a.avro
    cp kept/second.avro data/impressions/partition=0/z.avro
    n=$(jq .read s.json)
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>log
    grep -q "by 1, stand before m.avro" log
    [ "$(jq .read s.json)" = $((30000 - n)) ]
    score_tool scores e.ini >got
    same_records want got
}
