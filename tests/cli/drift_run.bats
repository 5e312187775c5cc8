# drift_run.bats - the drift records that `espalier train` writes while it learns.

load cli.bash

setup_file() {
    cd "$BATS_FILE_TMPDIR" || exit 1
    PATH=${ESPALIER_BUILD:-$BATS_TEST_DIRNAME/../../build/test}/bin:$PATH
    cat >e.ini <<'END'
[join]
click_window = 30m
install_window = 4h
[sample]
holdout = 0.1
[features]
categorical = user_id, advertiser_id, creative_id, app.bundle, geo.country
[model]
layers = 16
head_layers = 8
width = 8
[model clicks]
setup = ctr
layers = 16
width = 4
[drift]
ages = 0, 1, 2, 4, 8
sparse_from = 4
sparse = 4
END
    simulate one
    train one
    drift-dump one >records
}

setup() {
    use_folder
    cp -r "$BATS_FILE_TMPDIR/one" "$BATS_FILE_TMPDIR/e.ini" "$BATS_FILE_TMPDIR/records" .
}

simulate() { # FOLDER [OPTION...]
    espalier-sim --out "files:$1" --partitions 2 --impressions 15000 --days 1 --fields small \
        --install-window 4h "${@:2}" >/dev/null 2>&1
}

train() { # FOLDER [OPTION...]
    rm -rf "$1/espalier.drift"
    espalier train --config e.ini -o "files.root=$1" --summary s.json "${@:2}" >out 2>err
}

# Records as fields: model, kind, window (hours since 1970), task, age, snapshot.
fields() {
    awk '{ split($1, k, "/"); printf "%s %s %.0f %s %s %s\n", k[2], k[3], k[4] / 3600000000, k[5],
           k[6], $3 }' "${1:-records}"
}

@test "progressive validation is there once for each window and task of each model" {
    # drift-dump refuses two records of one key; 24 hours of impressions are 24 windows.
    fields | awk '$2 == "progressive" { n[$1 " " $4]++ } END { for (k in n) print k, n[k] }' |
        sort >got
    diff got - <<'END'
clicks click 24
main click 24
main install 24
main install_given_click 24
END
    fields | awk '$2 == "progressive" && ($5 != "-" || $6 != -1)' | diff - /dev/null
}

@test "progressive validation adds up to the summary's totals" {
    espalier train --config e.ini -o files.root=one --summary s.json >/dev/null 2>&1
    [ "$(awk '$1 ~ /main\/progressive\/.*\/click\// { n += $4 } END { print n }' records)" = \
        "$(jq '.models[0].tasks.click.examples' s.json)" ]
}

@test "the snapshot of age a is that of the window's start less a hours" {
    fields | awk '$2 == "holdout"' >holdout
    [ "$(wc -l <holdout)" -gt 200 ]
    awk '$6 != $3 - $5' holdout | diff - /dev/null
    # Ages from 4 up stand at every 4th window alone; all others wherever there is a snapshot.
    awk '$5 >= 4 && $3 % 4 != 0' holdout | diff - /dev/null
    awk '$1 == "main" && $4 == "click" { n[$5]++ } END { print n[0], n[1], n[2], n[4], n[8] }' \
        holdout >ages
    diff ages - <<<"23 22 21 4 3"
}

@test "tasks that a set-up does not have are not there" {
    fields | awk '$1 == "clicks" && $4 != "click"' | diff - /dev/null
    fields | awk '$1 == "main" && $2 == "holdout" { print $4 }' | sort -u |
        diff - <(printf '%s\n' click install install_given_click)
}

@test "drift can be off, and without installs there are clicks alone" {
    train one -o drift.enabled=off
    [ ! -e one/espalier.drift ]
    train one -o installs.enabled=off
    drift-dump one >clicks
    fields clicks | awk '{ print $4 }' | sort -u | diff - <(echo click)
    fields clicks | awk '$2 == "holdout"' | grep -q .
}

@test "two models and one stream: a model's records do not depend on the other" {
    sed '/^\[model clicks\]/,/^width/d' e.ini >alone.ini
    rm -r one/espalier.drift
    espalier train --config alone.ini -o files.root=one >/dev/null 2>&1
    diff <(drift-dump one | sort) <(grep -v '/clicks/' records | sort)
}

@test "a replay writes the same records under the same keys" {
    train one
    drift-dump one | cmp - records
}

@test "a log that is held open tells of what is complete, and no more" {
    simulate cut --stop-after 14h
    train cut -o input.at_end=hold
    drift-dump cut | sort >held
    [ "$(wc -l <held)" -gt 100 ]
    # All of it stands among the records of the whole, but for the windows that were cut.
    comm -23 held <(sort records) | diff - /dev/null
}

@test "a window keeps as many holdout examples as it may, by whole clusters" {
    train one -o drift.window_examples=20 -o drift.cluster=user_id
    drift-dump one >thinned
    awk '$1 ~ /holdout/ && $4 >= 20' thinned | diff - /dev/null
    awk '$1 ~ /main\/holdout\/.*\/click\/0$/ { n += $4 } END { exit n < 100 }' thinned
}

# Drift that is there is seen, and drift that is not there is not made up. What learning goes on to
# gain is in both, so the one is held against the other.
@test "drift switched on: the loss grows with the model's age, well beyond that without" {
    local options=(--partitions 2 --impressions 100000 --days 4 --fields small --install-window 4h
        --ctr 0.2 --effects 3,2)
    espalier-sim --out files:still "${options[@]}" >/dev/null 2>&1
    espalier-sim --out files:moving "${options[@]}" --preference-drift 3d >/dev/null 2>&1
    local folder
    for folder in still moving; do
        train "$folder" -o drift.ages=0,1,4,8,16,24 -o drift.sparse=1 -o sample.holdout=0.2 \
            -o features.categorical=advertiser_id,geo.country,exchange,ad_format,app.category
        drift-dump "$folder" --curve | awk '$1 == "main" && $2 == "click"' >"$folder.curve"
        cat "$folder.curve"
    done
    # MODEL TASK AGE WINDOWS LOSS DRIFT LOW HIGH
    awk '$3 >= 1 { if ($6 <= last) exit 1; last = $6 } END { exit last == 0 }' moving.curve
    low=$(awk '$3 == 24 { print $7 }' moving.curve)
    high=$(awk '$3 == 24 { print $8 }' still.curve)
    awk -v low="$low" -v high="$high" 'BEGIN { exit !(low > 0 && low > 3 * high) }'
}
