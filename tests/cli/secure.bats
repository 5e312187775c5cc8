# secure.bats - a broker that wants TLS and a password, of its own; and what nobody may read
# anywhere: every secret is a word that no output, log, page or file may have.

load cli.bash

setup_file() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || return 0
    export ESPALIER_KAFKA_DIR=$BATS_FILE_TMPDIR/kafka
    local port
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    "$BATS_TEST_DIRNAME/../../tools/kafka" up --port "$port" --tls >/dev/null 3>&-
    export PLAIN=127.0.0.1:$port TLS=$ESPALIER_KAFKA_DIR/tls
    export SECURE=127.0.0.1:$((port + 2))
    espalier-sim --out "kafka:$PLAIN" --impressions 2000 --days 1 --fields small --partitions 2 \
        --no-truth-topic >/dev/null 2>&1
}

teardown_file() {
    [ -n "${PLAIN:-}" ] || return 0
    "$BATS_TEST_DIRNAME/../../tools/kafka" down
}

setup() {
    use_folder
    pid=
    rest="[features]
categorical = advertiser_id, geo.country
[impressions]
schema = $SOURCE/schemas/impression.avsc
[clicks]
schema = $SOURCE/schemas/click.avsc
[installs]
schema = $SOURCE/schemas/install.avsc"
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
}

need_broker() {
    [ -n "${PLAIN:-}" ] || skip "no broker"
    { cat "$TLS/kafka.ini" && printf '%s\n' "$rest"; } >k.ini
}

# Fails if a word stands in what a command said or left in this folder, apart from where it was put.
nowhere() { # WORD...
    local word
    for word in "$@"; do
        ! grep -raF --exclude='*.ini' --exclude-dir=secrets -e "$word" . || return 1
    done
}

@test "PLAIN over TLS, with the password in a file: check, train and score" {
    need_broker
    run -0 espalier check --config k.ini --create-topics
    mentions "log            Kafka at $SECURE"
    espalier train --config k.ini -o kafka.debug=all --summary s.json >out 2>log
    [ "$(jq .counters.impressions.read s.json)" = 2000 ]
    grep -q 'kafka: SASL' log
    "$ESPALIER_BUILD/tests/bin/score_tool" learn k.ini one.safetensors 7 >/dev/null
    espalier score --config k.ini --snapshot one.safetensors --summary scores.json >>out 2>>log
    [ "$(jq .scored scores.json)" = 2000 ]
    nowhere "$(cat "$TLS/password")"
}

# What librdkafka before 2.6.1 does wrong looks to the broker as a wrong password does.
@test "SCRAM over TLS, or the line that says why not" {
    need_broker
    run espalier check --config k.ini --create-topics -o kafka.sasl.mechanism=SCRAM-SHA-512
    if [ "$status" -ne 0 ]; then
        [ "$status" -eq 75 ]
        mentions "cannot log in with SCRAM to Kafka 4.0 or later, 2.6.1 can; use PLAIN over TLS"
    fi
}

@test "a client's certificate whose key has a password" {
    need_broker
    run -0 espalier check --config k.ini --create-topics \
        -o "kafka.ssl.certificate.location=$TLS/client.pem" \
        -o "kafka.ssl.key.location=$TLS/client.key" \
        -o "kafka.ssl.key.password_file=$TLS/client.password" -o kafka.debug=all
    printf '%s\n' "$output" >said
    nowhere "$(cat "$TLS/password")" "$(cat "$TLS/client.password")"
    # The same key as text, as a property that is one.
    run -0 espalier check --config k.ini -o "kafka.ssl.certificate.location=$TLS/client.pem" \
        -o "kafka.ssl.key.pem_file=$TLS/client.key" \
        -o "kafka.ssl.key.password_file=$TLS/client.password"
}

@test "a wrong password, a wrong CA, a wrong key: one line that tells, and no secret" {
    need_broker
    mkdir secrets
    printf 'open-barley-17\n' >secrets/password
    chmod 640 secrets/password
    run -75 espalier check --config k.ini -o kafka.sasl.password_file=secrets/password \
        -o kafka.debug=all
    mentions "SASL authentication error"
    printf '%s\n' "$output" >said
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other \
        -keyout secrets/other.key -out other.pem 2>/dev/null
    run -75 espalier check --config k.ini -o kafka.ssl.ca.location=other.pem
    mentions "certificate verify failed"
    run -64 espalier check --config k.ini -o "kafka.ssl.certificate.location=$TLS/client.pem" \
        -o "kafka.ssl.key.location=$TLS/client.key" \
        -o kafka.ssl.key.password_file=secrets/password
    printf '%s\n' "$output" >>said
    mentions "ssl.key.location"
    run -64 espalier check --config k.ini -o kafka.ssl.ca.location=nowhere.pem
    mentions "ssl.ca.location"
    nowhere open-barley-17 "$(cat "$TLS/password")"
}

@test "train and score with a wrong password wait, say so, and end at a signal" {
    need_broker
    mkdir secrets
    printf 'open-barley-18\n' >secrets/password
    chmod 640 secrets/password
    for command in train score; do
        espalier $command --config k.ini --follow -o kafka.sasl.password_file=secrets/password \
            -o kafka.debug=all >out 2>log 3>&- &
        pid=$!
        for _ in {1..600}; do
            ! grep -qF "SASL authentication error" log || break
            read -rt 0.1 <> <(:) || true
        done
        grep -qF "SASL authentication error" log
        kill -TERM "$pid"
        status=0
        wait "$pid" || status=$?
        pid=
        [ "$status" -eq 75 ]
        nowhere open-barley-18
    done
}

# ---- without a broker ----------------------------------------------------------------------------

# Whatever is wrong with a configuration: what is said of it has no secret.
@test "secrets in every place, right or wrong, are not repeated" {
    mkdir secrets
    printf 'sesame-file' >secrets/one
    chmod 640 secrets/one
    kafka="[kafka]
bootstrap.servers = 127.0.0.1:1
socket.timeout.ms = 1000"
    local rows=(
        "sasl.password = sesame-1"
        "sasl.pasword = sesame-1"
        "sasl.password_file = secrets/one"
        "sasl.pasword_file = secrets/one"
        "security.protocol_file = secrets/one"
        "ssl.key.password = sesame-1"
        "ssl.key.pem = sesame-1"
        "ssl.keystore.password = sesame-1"
        "ssl.keystore.location = nowhere
ssl.keystore.password = sesame-1"
        "sasl.oauthbearer.client.secret = sesame-1"
        "sasl.oauthbearer.method = oidc
security.protocol = sasl_plaintext
sasl.mechanism = OAUTHBEARER
sasl.oauthbearer.client.id = ann
sasl.oauthbearer.client.secret = sesame-1
sasl.oauthbearer.token.endpoint.url = http://ann:sesame-2@127.0.0.1:1/token"
        "sasl.oauthbearer.token.endpoint.url = http://ann:sesame-2@"
        "bootstrap.servers = SASL_SSL://ann:sesame-2@127.0.0.1:1"
        "metadata.broker.list = ann:sesame-2@127.0.0.1:1, b:2"
        "[schema]
registry = http://ann:sesame-2@127.0.0.1:1"
        "[schema]
registry = http://ann:sesame-2@127.0.0.1:port"
        "[schema]
registry = ftp://ann:sesame-2@127.0.0.1"
        "[schema]
registry = ann:sesame-2@127.0.0.1"
        "[schema]
regisrty = http://ann:sesame-2@127.0.0.1"
        "[schema]
registry_password = sesame-1"
        "[schema]
registry_pasword = sesame-1"
        "[schema]
registry_password_file = secrets/one
registry_password = sesame-1"
        "[shcema]
registry_password = sesame-1"
        "[schema]
registry_password sesame-1"
    )
    local row command
    for row in "${rows[@]}"; do
        # The line in place of the one above, or beside it.
        { [[ $row == bootstrap* ]] && sed 1q <<<"$kafka" || printf '%s\n' "$kafka"
          printf '%s\n%s\n' "$row" "$rest"; } >e.ini
        if [[ $row != "["* ]]; then printf 'debug = all\n' | sed -i '1r /dev/stdin' e.ini; fi
        for command in check train score; do
            # Asked to end before it has begun to wait for long.
            timeout -s TERM 1 espalier $command --config e.ini >said 2>&1 || true
            [ -s said ]
            nowhere sesame-1 sesame-2 sesame-file || { echo "$command: $row" && return 1; }
        done
    done
}

# Snapshots, manifests, drift records, dead letters, examples, the summary, the state folder.
@test "what a run writes has no secret, nor have its pages" {
    espalier-sim --out files:data --impressions 2000 --days 1 --fields small --partitions 2 \
        --malformed 0.01 --late 0.01 >/dev/null 2>&1
    printf '[files]\nroot = data\n[schema]\nregistry = http://ann:sesame-2@127.0.0.1:1\n%s\n' \
        "${rest%%\[impressions*}" >e.ini
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    espalier train --config e.ini --follow -o serve.port="$port" -o output.examples=on \
        -o state.folder=state --summary s.json >out 2>log 3>&- &
    pid=$!
    for _ in {1..600}; do
        ! curl --silent --fail "http://127.0.0.1:$port/readyz" >page || break
        read -rt 0.1 <> <(:) || true
    done
    for path in / /metrics /healthz /readyz /nowhere; do
        curl --silent "http://127.0.0.1:$port$path" >>page
    done
    grep -q espalier_events page
    kill -TERM "$pid"
    wait "$pid"
    pid=
    espalier check --config e.ini >>out
    grep -q 'registry http://127.0.0.1:1' out
    [ -d data/espalier.dead-letter ]
    [ -d data/espalier.snapshots ]
    nowhere sesame-2
}

@test "a secret's file that has no secret is one line" {
    printf '[kafka]\nbootstrap.servers = b:1\nsasl.password_file = one\n%s\n' "$rest" >e.ini
    printf '\n' >one
    run -64 espalier check --config e.ini
    says_line "e.ini:3: [kafka] sasl.password_file = one: it is empty; write the value there"
    printf 'open\0barley' >one
    run -64 espalier check --config e.ini
    says_line "e.ini:3: [kafka] sasl.password_file = one: it has a byte 0, which is no text; name another file"
    truncate -s 1T one
    run -64 espalier check --config e.ini
    says_line "e.ini:3: [kafka] sasl.password_file = one: it has over 65536 bytes; name the file of a secret"
    rm one
    mkfifo one
    run -64 espalier check --config e.ini
    says_line "e.ini:3: [kafka] sasl.password_file = one: it is no regular file; name one that is"
}

@test "secrets on the command line that are not where they belong are not repeated" {
    printf '[files]\nroot = data\n%s\n' "$rest" >e.ini
    run -64 espalier check --config e.ini -o kafka.sasl.password:sesame-1
    [[ $output != *sesame* ]]
    run -64 espalier check --config e.ini -o kafka.sasl.password sesame-1
    [[ $output != *sesame* ]]
}

@test "a secret's file that everybody may read is said, and taken" {
    mkdir secrets
    printf 'sesame' >secrets/one
    chmod 644 secrets/one
    printf '[kafka]\ntest.mock.num.brokers = 1\nsasl.password_file = secrets/one\n%s\n' "$rest" >e.ini
    run espalier check --config e.ini
    says_line "e.ini:3: [kafka] sasl.password_file = secrets/one: warning: everybody on this machine may read it; chmod o-r"
    chmod 640 secrets/one
    run espalier check --config e.ini
    [[ $output != *warning* ]]
}

# ---- HTTP ----------------------------------------------------------------------------------------

@test "pages are served on the loopback alone, unless told otherwise" {
    espalier-sim --out files:data --impressions 500 --days 1 --fields small >/dev/null 2>&1
    printf '[files]\nroot = data\n%s\n' "${rest%%\[impressions*}" >e.ini
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    for listen in "" 0.0.0.0; do
        espalier train --config e.ini --follow -o serve.port="$port" \
            ${listen:+-o serve.listen=$listen} >out 2>log 3>&- &
        pid=$!
        for _ in {1..600}; do
            ! grep -q 'msg=serving' log || break
            read -rt 0.1 <> <(:) || true
        done
        # /proc/net/tcp: local address, little-endian, and port; 0A is LISTEN.
        hex=$(printf '%04X' "$port")
        address=$(awk -v port=":$hex" '$4 == "0A" && substr($2, 9) == port { print substr($2, 1, 8) }' \
            /proc/net/tcp)
        if [ -z "$listen" ]; then [ "$address" = 0100007F ]; else [ "$address" = 00000000 ]; fi
        kill -TERM "$pid"
        wait "$pid"
        pid=
    done
}
