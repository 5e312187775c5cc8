# registry.bats - schemas that come from a Schema Registry alone: what is learned is the same, and
# what happens while the registry is away, or says no.

load cli.bash

setup() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    use_folder
    export no_proxy=127.0.0.1
    prefix=bats-$$-$BATS_TEST_NUMBER-$RANDOM-
    cat >base.ini <<END
[kafka]
bootstrap.servers = $ESPALIER_TEST_BROKER
[impressions]
topic = ${prefix}impressions
[clicks]
topic = ${prefix}clicks
[installs]
topic = ${prefix}installs
[join]
click_window = 30m
install_window = 6h
[features]
categorical = user_id, advertiser_id, campaign_id, app.bundle, geo.country
buckets = hour
[output]
late_topic = ${prefix}late
dead_letter_topic = ${prefix}dead
END
    with_files "$SOURCE"/schemas/{impression,click,install}.avsc >named.ini
}

teardown() {
    end_registry
}

# The configuration with schemas by file.
with_files() { # IMPRESSION CLICK INSTALL
    cat base.ini
    printf '[schemas]\n500 = %s\n501 = %s\n502 = %s\n' "$@"
}

simulate() {
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2 \
        --framing confluent:500 --impressions 3000 --days 1 --fields small --disorder 1m \
        >/dev/null 2>&1
    espalier check --config named.ini --create-topics >/dev/null
}

# Writes what the stand-in answers, changed by a filter. The impression's App and Geo are schemas of
# their own, which it refers to.
answers() { # [FILTER]
    mkdir -p stand-in
    jq -n --slurpfile impression "$SOURCE/schemas/impression.avsc" \
        --slurpfile click "$SOURCE/schemas/click.avsc" \
        --slurpfile install "$SOURCE/schemas/install.avsc" '
        def type($name): first($impression[0].fields[] | select(.name == $name) | .type);
        def answer($schema): [{body: {schema: ($schema | tojson)}}];
        {"/schemas/types": [{body: ["AVRO"]}],
         "/schemas/ids/500": [{body: {
             schema: ($impression[0] | .fields |= map(
                 if .name == "app" then .type = "App"
                 elif .name == "geo" then .type = "espalier.Geo" else . end) | tojson),
             references: [{name: "espalier.App", subject: "app", version: 2},
                          {name: "espalier.Geo", subject: "the geo", version: 1}]}}],
         "/subjects/app/versions/2?deleted=true": answer(type("app") + {namespace: "espalier"}),
         "/subjects/the%20geo/versions/1?deleted=true":
             answer(type("geo") + {namespace: "espalier"}),
         "/schemas/ids/501": answer($click[0]),
         "/schemas/ids/502": answer($install[0])} | '"${1:-.}" >stand-in/answers.json.new
    mv stand-in/answers.json.new stand-in/answers.json
}

# Starts the stand-in and writes registry.ini.
start_registry() {
    mkfifo hold
    python3 "$SOURCE/tests/registry_stand_in.py" stand-in <hold >/dev/null 2>stand-in/log 3>&- &
    registry_pid=$!
    exec 8>hold
    until [ -s stand-in/port ]; do read -rt 0.02 <> <(:) || true; done
    url=http://127.0.0.1:$(cat stand-in/port)
    { cat base.ini && printf '[schema]\nregistry = %s\n[state]\nfolder = kept\n' "$url"; } \
        >registry.ini
}

end_registry() {
    exec 8>&- # it ends with its standard input
    [ -z "${registry_pid:-}" ] || wait "$registry_pid" || true
}

# How many snapshots were published is a matter of speed: an older one gives way to a newer.
essence() {
    jq -S '{labels, models: [.models[] | del(.snapshots["published", "outdated", "refused"])],
            counters: [.counters[] | {read, labelled, duplicate, unmatched, late, dead}]}' "$1"
}

# Waits until the log of a run has a line with this text.
await_line() {
    for _ in $(seq 300); do
        if grep -qF -e "$1" log; then return 0; fi
        read -rt 0.1 <> <(:) || true
    done
    cat log
    return 1
}

@test "a run with schemas from a registry is the run with schemas from files" {
    simulate
    answers
    start_registry
    espalier train --config named.ini --summary named.json
    espalier train --config registry.ini --summary registry.json
    diff <(essence named.json) <(essence registry.json)
    [ "$(jq .models[0].examples_learned registry.json)" -gt 2000 ]
    [ "$(wc -l <stand-in/requests)" -eq 5 ] # each once, whatever the partitions
    # They are kept: the next run needs no registry, and they serve as files.
    end_registry
    espalier train --config registry.ini --summary kept.json
    diff <(essence named.json) <(essence kept.json)
    with_files kept/schemas/*/500.avsc kept/schemas/*/501.avsc kept/schemas/*/502.avsc >files.ini
    espalier train --config files.ini --summary files.json
    diff <(essence named.json) <(essence files.json)
}

@test "a registry that is away is waited for, and nothing is skipped" {
    simulate
    answers 'map_values([{status: 503, text: "away"}])'
    start_registry
    espalier train --config registry.ini --summary s.json >out 2>log 3>&- 8>&- &
    pid=$!
    await_line "answers 503; the input waits for it"
    answers
    wait "$pid"
    await_line "answers again"
    espalier train --config named.ini --summary named.json
    diff <(essence named.json) <(essence s.json)
    [ "$(grep -c "the input waits" log)" -eq 1 ]
}

@test "a run that waits for a registry stops at a signal, with nothing read and nothing dead" {
    simulate
    answers '.["/schemas/ids/500"] = [{mute: true}] | .["/schemas/ids/501"] = [{status: 500}] |
        .["/schemas/ids/502"] = [{text: "nonsense"}]'
    start_registry
    espalier train --config registry.ini --follow -o schema.registry_timeout=1s \
        --summary s.json >out 2>log 3>&- 8>&- &
    pid=$!
    await_line "the input waits for it"
    kill -TERM "$pid"
    wait "$pid"
    [ "$(jq '[.counters[] | .read, .dead] | add' s.json)" -eq 0 ]
}

@test "a wrong password stops the run, is not shown, and makes no dead letter" {
    simulate
    answers '.authorization = "ann:open sesame"'
    start_registry
    printf 'open barley\n' >password
    options=(-o schema.registry_user=ann -o schema.registry_password_file=password)
    run -64 espalier train --config registry.ini "${options[@]}" --summary s.json
    mentions "espalier: schema registry $url answers 401: user or password is wrong; mend registry_user, registry_password"
    [ "$(jq '[.counters[].dead] | add' s.json)" -eq 0 ]
    run -64 espalier check --config registry.ini "${options[@]}"
    mentions "schemas        registry $url, user ann: no use"
    mentions "answers 401"
    run -64 espalier check --config registry.ini \
        -o "schema.registry=http://ann:open%20barley@${url#http://}"
    mentions "schemas        registry $url, user ann: no use"
    [[ $output != *barley* ]]
    printf 'open sesame\n' >password
    run -0 espalier check --config registry.ini "${options[@]}"
    says_line "schemas        registry $url, user ann: answers"
    says_line ready
    [[ $output != *sesame* ]]
}

@test "an unknown id goes to the dead letters after its retries, with the reason" {
    simulate
    answers 'del(.["/schemas/ids/502"])'
    start_registry
    espalier train --config registry.ini -o input.max_dead_share=1 --summary s.json 2>log
    installs=$(jq ".counters[\"${prefix}installs\"]" s.json)
    [ "$(jq .dead <<<"$installs")" -gt 10 ]
    [ "$(jq '.read == .dead and .dead == .dead_by_reason["unknown schema id"]' <<<"$installs")" = true ]
    [ "$(jq ".counters[\"${prefix}impressions\"].labelled" s.json)" = 3000 ]
    [ "$(grep -c /schemas/ids/502 stand-in/requests)" -eq 4 ] # not once a record
    grep -qF "schema 502 of $url: Not there; its records go to the dead letters" log
    # Without max_dead_share the run stops: that nothing can be read is no bad day.
    run -65 espalier train --config registry.ini
    mentions "records cannot be used, mostly: unknown schema id"
}

@test "a schema that lacks a configured field stops the run with key, field and id" {
    simulate
    answers '.["/schemas/ids/501"][0].body.schema |= sub("impression_id"; "impresion_id")'
    start_registry
    lacks="no field \"impression_id\" in schema Click; did you mean impresion_id? (schema 501 of $url)"
    run -64 espalier train --config registry.ini
    mentions "$lacks"
    run -64 espalier check --config registry.ini
    mentions "$lacks"
    answers
    rm -r kept
    sed -i 's/geo.country/geo.county/' registry.ini
    run -64 espalier train --config registry.ini
    mentions "registry.ini:13: [features] categorical = user_id, advertiser_id, campaign_id, app.bundle, geo.county: topic ${prefix}impressions: feature: no field \"geo.county\" in schema Impression; did you mean geo.country? (schema 500 of $url)"
}

@test "check says at once when the registry does not answer" {
    simulate
    answers
    start_registry
    end_registry
    run -75 espalier check --config registry.ini
    mentions "espalier: schema registry $url does not answer: "
}
