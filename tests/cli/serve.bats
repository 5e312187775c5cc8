# serve.bats - what a run shows over HTTP: metrics that Prometheus takes and that are the summary's,
# health, readiness, and what is said when nothing can be served.
load cli

setup_file() {
    cd "$BATS_FILE_TMPDIR" || exit 1
    PATH=${ESPALIER_BUILD:-$BATS_TEST_DIRNAME/../../build/test}/bin:$PATH
    espalier-sim --out files:data --fields small --impressions 12000 --days 3 --install-window 1d \
        --partitions 2 --duplicates 0.01 --unmatched 0.02 --late 0.01 --malformed 0.002
    # No partition becomes idle in the time that a test takes, so what a run that follows has counted
    # once it has read all stays as it is.
    cat >config.ini <<'INI'
[join]
install_window = 1d
idle_after = 1h
[sample]
negatives = 0.5
[features]
categorical = user_id, advertiser_id, creative_id, app.bundle, geo.country, device.os
[model main]
layers = 32, 16
head_layers = 16
[model second]
layers = 8
head_layers = 8
INI
}

setup() {
    use_folder
    port=$(free_port 127.0.0.1)
    run_pid=
}

teardown() {
    if [ -n "$run_pid" ]; then
        kill -KILL "$run_pid"
        wait "$run_pid" 2>/dev/null || true
    fi
}

# A port that nobody listens on.
free_port() { # ADDRESS
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.bind((sys.argv[1], 0))
print(s.getsockname()[1])' "$1"
}

# Starts a run that follows and serves; sets run_pid.
follow() { # [OPTION...]
    espalier train --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=data --follow \
        -o "serve.port=$port" --summary summary.json "$@" >out 2>log 3>&- &
    run_pid=$!
}

get() { # PATH [CURL_OPTION...]
    curl --silent --show-error --max-time 20 "${@:2}" "http://127.0.0.1:$port$1"
}

# Until the command succeeds.
wait_until() { # COMMAND...
    local i
    for ((i = 0; i < 600; i++)); do
        ! "$@" || return 0
        kill -0 "$run_pid" || break
        sleep 0.1
    done
    echo "in vain: $*"
    cat log
    return 1
}

answers() { # PATH CODE
    [ "$(get "$1" --output answer --write-out '%{http_code}' 2>/dev/null)" = "$2" ]
}

value() { # SAMPLE: as it stands before its value in the file metrics
    awk -v sample="$1" 'index($0, sample " ") == 1 { print substr($0, length(sample) + 2) }' metrics
}

# Everything was read, and learning has taken all that was handed over.
has_read_impressions() {
    get /metrics >metrics 2>/dev/null || return 1
    [ "$(value 'espalier_events_read_total{topic_kind="impression"}')" = \
        "$(jq .counters.impressions.read "$BATS_FILE_TMPDIR/data/truth.json")" ]
}

has_read_all() {
    get /metrics >metrics 2>/dev/null || return 1
    local kind want
    for kind in impression click install; do
        want=$(jq ".counters.${kind}s.read" "$BATS_FILE_TMPDIR/data/truth.json")
        [ "$(value "espalier_events_read_total{topic_kind=\"$kind\"}")" = "$want" ] || return 1
    done
    # Clicked impressions are always kept, so the examples are the kept impressions and the labels of
    # installs; counters are published between two reads, so nothing is half counted.
    [ "$(value espalier_examples_total)" = "$(awk '
        /^espalier_impressions_total{sample="(training|holdout)"}/ { n += $2 }
        /^espalier_labels_total{stage="install"}/ { n += $2 }
        END { print n }' metrics)" ]
}

stop() {
    kill -TERM "$run_pid"
    wait "$run_pid"
    run_pid=
}

# Fails unless every scrape in the file adds up: events read are the sum of fates and pending ones.
adds_up() { # FILE
    awk '$1 ~ /^espalier_events_(read_total|total|pending)/ {
            split($1, parts, "\""); topic = parts[2]
            if ($1 ~ /^espalier_events_read_total/) { n[topic] -= $NF; seen++ } else n[topic] += $NF
        }
        END { for (topic in n) if (n[topic] != 0) { print topic, n[topic]; exit 1 }; exit seen != 3 }' \
        "$1"
}

# CI has it: there a missing one fails.
need_promtool() {
    command -v promtool >/dev/null && return
    [ -z "${ESPALIER_REQUIRE_BROKER:-}" ]
    skip "no promtool"
}

# The first block of docs/serving.md, fenced as YAML, that begins with this line.
docs_block() { # LINE
    awk -v first="$1" '/^```yaml/ { getline; inside = $0 == first && !seen; seen = seen || inside }
        /^```$/ { inside = 0 } inside' "$SOURCE/docs/serving.md"
}

@test "promtool finds nothing to say of the metrics" {
    need_promtool
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow
    wait_until has_read_all
    run -0 promtool check metrics <metrics
    [ -z "$output" ]
    [[ $(get /metrics --head) == *"text/plain; version=0.0.4"* ]]
}

@test "metrics are the summary's counters" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow
    wait_until has_read_all
    stop
    jq -r '
        (.counters | to_entries[] | (.key | rtrimstr("s")) as $kind | .value |
            "espalier_events_read_total{topic_kind=\"\($kind)\"} \(.read)",
            "espalier_events_pending{topic_kind=\"\($kind)\"} \(.pending)",
            "espalier_events_behind_idle_total{topic_kind=\"\($kind)\"} \(.behind_idle)",
            (("labelled", "duplicate", "unmatched", "late", "dead") as $fate |
                "espalier_events_total{topic_kind=\"\($kind)\",fate=\"\($fate)\"} \(.[$fate])"),
            (.dead_by_reason | to_entries[] |
                "espalier_dead_letters_total{topic_kind=\"\($kind)\",reason=\"\(.key)\"} \(.value)")),
        (.labels | to_entries[] | "espalier_labels_total{stage=\"\(.key)\"} \(.value)"),
        "espalier_impressions_total{sample=\"training\"} \(.impressions_kept - .impressions_holdout)",
        "espalier_impressions_total{sample=\"holdout\"} \(.impressions_holdout)",
        "espalier_impressions_total{sample=\"sampled_out\"} \(.impressions_sampled_out)"' \
        summary.json | sort >want
    [ "$(wc -l <want)" -ge 31 ]
    diff want <(grep -Fxf want metrics | sort)
    jq -e '.counters.impressions.dead > 0 and .impressions_sampled_out > 0' summary.json
    # The end closes the batch that was under way: at most one more step a model.
    jq -e --argjson steps "$(value 'espalier_model_steps_total{model="main"}')" \
        '$steps > 10 and (.models[0].steps - $steps | . == 0 or . == 1)' summary.json
    jq -e --argjson us "$(value espalier_watermark_timestamp_seconds)" \
        '(.watermark | sub("[.][0-9]+"; "") | fromdate) == ($us | floor)' summary.json
}

@test "events add up at every moment" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow --read-batch 64
    wait_until answers /metrics 200
    local i
    for ((i = 0; i < 50; i++)); do
        get /metrics >scrape
        adds_up scrape
    done
    # Not all of it: what is more than join.skew ahead of the last impression is never read.
    wait_until has_read_impressions
    get /metrics >scrape
    adds_up scrape
}

@test "the table of metrics in docs/serving.md is what a run shows" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow
    wait_until has_read_all
    # name, type, labels and help of every family, in the form of the table's rows
    awk '
        function print_row() {
            if (name != "")
                printf "| `%s` | %s |%s | %s |\n", name, type, labels, help
        }
        /^# HELP / { print_row(); name = $3; help = $0; sub(/^# HELP [^ ]+ /, "", help)
                     labels = ""; next }
        /^# TYPE / { type = $4; next }
        labels == "" && /[{]/ {
            rest = $0
            while (match(rest, /[{,][a-z_]+="/)) {
                labels = labels (labels == "" ? " " : ", ") "`" substr(rest, RSTART + 1, RLENGTH - 3) "`"
                rest = substr(rest, RSTART + RLENGTH)
            }
        }
        END { print_row() }' metrics >rows
    [ "$(wc -l <rows)" -gt 30 ]
    diff <(grep -E '^\| `(espalier|process)_' "$SOURCE/docs/serving.md") rows
}

@test "Prometheus takes the scrape configuration and the alerts of docs/serving.md" {
    need_promtool
    docs_block scrape_configs: >prometheus.yml
    docs_block groups: >rules.yml
    run -0 promtool check config prometheus.yml
    run -0 promtool check rules rules.yml
    mentions "6 rules found"
    # Each metric that an alert looks at is one that a run has.
    grep -oE 'espalier_[a-z_]+' rules.yml | sort -u >used
    [ "$(wc -l <used)" -ge 5 ]
    local metric
    while read -r metric; do
        grep -q "^| \`$metric\` " "$SOURCE/docs/serving.md"
    done <used
}

@test "a run is ready once it has read something, until it stops" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow
    wait_until answers /readyz 200
    run -0 get /readyz
    says ready
    run -0 get /healthz
    says ok
    run -0 get /
    mentions '<tr><th scope="row">state</th><td>ready</td></tr>'
    mentions '<a href="/metrics">'
    answers /dashboard 404
    stop
    run -7 get /readyz
}

@test "a page that another program writes is served as it is now" {
    mkdir -p data/{impressions,clicks,installs}/partition=0
    follow -o serve.dashboard=page.html
    wait_until answers /dashboard 404
    local version
    for version in first second; do
        echo "<!DOCTYPE html><title>$version</title>" >page.html
        run -0 get /dashboard
        says "<!DOCTYPE html><title>$version</title>"
    done
    run -0 get /
    mentions '<li><a href="/dashboard">dashboard</a></li>'
}

@test "a run over empty topics is ready once their ends are known" {
    mkdir -p data/{impressions,clicks,installs}/partition=0
    follow
    wait_until answers /readyz 200
    get /metrics >metrics
    [ "$(value 'espalier_events_read_total{topic_kind="click"}')" = 0 ]
}

@test "a run that waits for its broker is well and not ready" {
    [[ $ESPALIER_BUILD != */tsan ]] || skip "ThreadSanitizer does not know librdkafka's threads"
    espalier train -o kafka.bootstrap.servers=127.0.0.1:1 --follow -o "serve.port=$port" \
        --config "$BATS_FILE_TMPDIR/config.ini" \
        -o "impressions.schema=$SOURCE/schemas/impression.avsc" \
        -o "clicks.schema=$SOURCE/schemas/click.avsc" \
        -o "installs.schema=$SOURCE/schemas/install.avsc" >out 2>log 3>&- &
    run_pid=$!
    wait_until answers /healthz 200
    answers /readyz 503
    [ "$(cat answer)" = "starting: waits for first records, or to hear that there are none" ]
}

@test "a port in use is one line, before anything is read" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow
    wait_until answers /healthz 200
    run -74 espalier train --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=data -o state.folder=own \
        -o "serve.port=$port"
    says "espalier: -o: [serve] port = $port: cannot listen on http://127.0.0.1:$port/: Address already in use; choose another address or port, or port = 0 for none"
    answers /healthz 200
}

@test "an address that is none is one line, in train and in check" {
    local command
    for command in train check; do
        run -64 espalier "$command" --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=. \
            -o "serve.port=$port" -o serve.listen=localhost
        says "espalier: -o: [serve] listen = localhost: not an address; write an IPv4 or IPv6 address of this machine, such as 127.0.0.1 or ::1"
    done
}

@test "check says where a run would be seen" {
    cp -r "$BATS_FILE_TMPDIR/data" data
    run -0 espalier check --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=data \
        -o serve.port=9464 -o serve.listen=::1
    says_line "serves         http://[::1]:9464/"
    run -0 espalier check --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=data
    says_line "serves         nothing (serve.port = 0)"
}

@test "nothing is served unless a port is given" {
    mkdir -p data/{impressions,clicks,installs}/partition=0
    port=0
    follow
    wait_until grep -q "msg=starting" log
    run grep serving log
    [ "$status" -eq 1 ]
    [ -z "$(find /proc/"$run_pid"/fd -lname 'socket:*')" ]
}

@test "IPv6 is listened on" {
    port=$(free_port ::1) || skip "no IPv6 here"
    cp -r "$BATS_FILE_TMPDIR/data" data
    follow -o serve.listen=::1
    wait_until grep -q "url=http://\[::1\]:$port/" log
    [ "$(curl --silent --max-time 20 --globoff "http://[::1]:$port/healthz")" = ok ]
}
