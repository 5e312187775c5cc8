# outputs.bats - what leaves a run is there afterwards, also when the run fails.

load cli.bash

setup() {
    use_folder
    mkdir data
    cat >e.ini <<'END'
[files]
root = data
[join]
install_window = 6h
[features]
categorical = user_id, advertiser_id
END
}

simulate() {
    espalier-sim --out files:data --impressions 3000 --days 1 --fields small --partitions 2 "$@" \
        >/dev/null 2>&1
}

# Reads a topic of dead letters back with the program itself.
count_letters() { # TOPIC
    cat >back.ini <<END
[files]
root = data
[impressions]
topic = $1
id = offset
time = log_time
time_unit = us
[clicks]
topic = clicks
[installs]
enabled = off
[output]
dead_letter_topic = again
[features]
categorical = reason
END
    espalier train --config back.ini -o input.max_dead_share=1 --summary back.json >/dev/null 2>&1
    jq ".counters[\"$1\"].read" back.json
}

@test "a run that stops for its dead letters has written them" {
    simulate --malformed 0.5
    run --separate-stderr espalier train --config e.ini --summary s.json
    [ "$status" -eq 65 ]
    [ "$(jq .stopped s.json)" = true ]
    dead=$(jq '[.counters[].dead] | add' s.json)
    [ "$dead" -gt 100 ]
    [ "$(count_letters espalier.dead-letter)" = "$dead" ]
}

# It is named by topic, partition and offset; its bytes, of any size, are not passed on.
@test "the dead letter of a record over the limit does not hold the record" {
    simulate
    grep -raq ssp-0 data/impressions
    for limit in 64 1MiB; do
        rm -rf data/espalier.dead-letter
        espalier train --config e.ini -o input.max_record_bytes=$limit -o input.max_dead_share=1 \
            -o impressions.time_unit=logical --summary s.json >/dev/null 2>&1
        dead=$(jq .counters.impressions.dead s.json)
        if [ $limit = 64 ]; then
            [ "$dead" -gt 2900 ]
            [ "$(count_letters espalier.dead-letter)" -ge "$dead" ]
            grep -raq "record is over the size limit" data/espalier.dead-letter
            ! grep -raq ssp-0 data/espalier.dead-letter || return 1
        else
            [ "$dead" = 0 ]
        fi
    done
}

@test "examples are written once a label, and counted" {
    simulate
    espalier train --config e.ini -o output.examples=on --summary s.json >/dev/null 2>&1
    [ "$(jq .examples_written s.json)" = "$(jq '.labels | add' s.json)" ]
    [ "$(find data/espalier.examples -name '*.avro' | wc -l)" = 1 ]
}

@test "impressions of two schemas, interleaved, make two folders of examples" {
    simulate
    mv data/impressions/partition=1 kept
    # The same records under another schema name are another writer's.
    python3 - kept/*.avro <<'END'
import sys
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    assert b'"name":"Impression"' in data or b'"name": "Impression"' in data
    data = data.replace(b'"Impression"', b'"Improssion"', 1)
    open(path, "wb").write(data)
END
    mv kept data/impressions/partition=1
    espalier train --config e.ini -o output.examples=on --summary s.json >/dev/null 2>&1
    [ "$(jq .counters.impressions.labelled s.json)" = 3000 ]
    [ "$(find data -path '*espalier.examples*' -name '*.avro' | wc -l)" = 2 ]
}

@test "a summary that cannot be written is refused before anything is read" {
    simulate
    run --separate-stderr espalier train --config e.ini --summary nowhere/s.json
    [ "$status" -eq 64 ]
    [[ $stderr == *"--summary nowhere/s.json: cannot be written"* ]]
}

@test "a full standard output is an error" {
    simulate
    run bash -c 'espalier train --config e.ini >/dev/full 2>&1'
    [ "$status" -eq 74 ]
    run bash -c 'espalier check --config e.ini >/dev/full 2>&1'
    [ "$status" -eq 74 ]
}

@test "a feature that the schema lacks is one line with file, line, key and the mend" {
    simulate
    sed -i 's/user_id/user_idd/' e.ini
    run --separate-stderr espalier train --config e.ini
    [ "$status" -eq 64 ]
    [ "$(wc -l <<<"$stderr")" = 1 ]
    [[ $stderr == 'espalier: e.ini:6: [features] categorical = '*'no field "user_idd"'*'did you mean user_id?' ]]
}
