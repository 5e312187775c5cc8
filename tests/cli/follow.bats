# follow.bats - `espalier train --follow` over folders that gain partitions while it runs.

load cli.bash

setup() {
    use_folder
    espalier-sim --out files:whole --impressions 3000 --days 1 --fields small --partitions 3 \
        >/dev/null 2>&1
    cat >f.ini <<'END'
[join]
install_window = 6h
idle_after = 1h
[input]
look_for_partitions = 100ms
[features]
categorical = user_id, advertiser_id
END
}

# Runs in the background; its log is NAME.log, its summary NAME.json.
follow() { # NAME FOLDER [option...]
    espalier train --config f.ini -o "files.root=$2" -o "state.folder=state-$1" --follow --summary "$1.json" "${@:3}" \
        >/dev/null 2>"$1.log" 3>&- &
}

# Waits until a log says this.
wait_for() { # NAME TEXT
    local _
    for _ in {1..600}; do
        if grep -qF -e "$2" "$1.log"; then return; fi
        read -rt 0.1 <> <(:) || true
    done
    cat "$1.log"
    return 1
}

total() {
    jq '[.counters[].read] | add' whole/truth.json
}

essence() { # NAME
    jq -S '{watermark, labels, counters, weights: [.models[].weights_hash]}' "$1.json"
}

@test "partitions that are added while it runs count as if they had been there from the start" {
    follow whole whole
    whole=$!
    mkdir -p grown/clicks/partition=0 grown/installs/partition=0 grown/impressions
    cp -r whole/impressions/partition=[01] grown/impressions/
    follow grown grown
    grown=$!
    wait_for grown msg=starting
    cp -r whole/impressions/partition=2 .
    mv partition=2 grown/impressions/
    wait_for grown "topic impressions has 3 partitions now, 2 before"
    # The first partitions of clicks and installs are silent, so that W stands until all are found.
    for topic in clicks installs; do
        cp -r "whole/$topic" "$topic-new"
        mv "$topic-new"/partition=[12] "grown/$topic/"
        wait_for grown "topic $topic has 3 partitions now"
    done
    for topic in clicks installs; do
        mv "$topic-new"/partition=0/*.avro "grown/$topic/partition=0/"
    done
    wait_for grown "events=$(total) "
    wait_for whole "events=$(total) "
    kill -TERM "$whole" "$grown"
    wait "$whole"
    wait "$grown"
    [ "$(jq .labels.click whole.json)" -gt 2000 ]
    diff <(essence whole) <(essence grown)
    [ "$(grep -c "partitions now" grown.log)" -le 5 ] # a line a find, and no more
}

@test "what an added partition brings behind the watermark is late and counted apart" {
    mkdir kept
    mv whole/impressions/partition=2 kept/
    # Silent partitions are idle soon, so that W goes on without the missing one.
    follow late whole -o join.idle_after=200ms
    late=$!
    wait_for late msg=progress
    mv kept/partition=2 whole/impressions/
    wait_for late "topic impressions has 3 partitions now, 2 before"
    wait_for late "events=$(total) "
    kill -TERM "$late"
    wait "$late"
    jq -e '.counters.impressions | .late > 100 and .late == .behind_idle' late.json
    jq -e '.counters[] | .read == .labelled + .duplicate + .unmatched + .late + .dead + .pending' \
        late.json
}

@test "a topic that goes away while it is read ends the run" {
    follow gone whole
    gone=$!
    wait_for gone msg=starting
    mv whole/clicks elsewhere
    local code=0
    wait "$gone" || code=$?
    [ "$code" -eq 74 ]
    grep "^espalier: .*clicks.*\(is gone\|cannot be opened\)" gone.log # whether a file was read yet
    jq -e .stopped gone.json
}
