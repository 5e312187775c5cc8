#!/usr/bin/env bash
# What the image is made of, as far as that goes without an engine: docker-compose takes the file;
# the script that the Dockerfile calls leaves programs that need no library but those of the
# packages that the image installs, and that work as a user without rights on a tree that they
# cannot write; the health check tells a run that is well from one that is not. The script is given
# the build that is there: a second one would compile the same again.
. "$(dirname "$0")/tap.sh"
unset OPENBLAS_CORETYPE
work=$(mktemp -d)
root=$work/root
program_pid=
cleanup() {
    [ -z "$program_pid" ] || kill -KILL "$program_pid" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
chmod 755 "$work"
home=$work/home # the only folder that the unprivileged user may write
mkdir -p "$home/events"
configuration=$work/espalier.ini

# What makes a user of no one: no rights to begin with, and none to be had.
unprivileged() { # COMMAND...
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all \
            --bounding-set=-all "$@"
    else
        "$@"
    fi
}
installed() { # PROGRAM [ARGUMENT...]
    (cd "$home" && LD_LIBRARY_PATH=$root/usr/local/lib unprivileged "$root/usr/local/bin/$1" "${@:2}")
}
says() { # TEXT COMMAND...
    local output
    output=$("${@:2}" 2>&1)
    grep -qF -e "$1" <<<"$output" || { echo "\"$1\" is not in: $output" && return 1; }
}
wait_until() { # COMMAND...
    local i
    for ((i = 0; i < 600; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "in vain: $*"
    [ ! -e "$home/log" ] || cat "$home/log"
    return 1
}

# ---- the files -----------------------------------------------------------------------------------

# docker-compose config prints YAML, which Python's module (it comes with docker-compose) reads.
compose_is_accepted() {
    docker-compose -f docker-compose.yml config >"$work/compose.yml" && python3 - "$work/compose.yml" <<'END'
import sys, yaml
services = yaml.safe_load(open(sys.argv[1]))["services"]
assert set(services) == {"kafka", "simulator", "topics", "train", "score"}, services.keys()
for name, service in services.items():
    assert "privileged" not in service and service.get("user", "") not in ("0", "root"), name
    assert "no-new-privileges:true" in service["security_opt"], name
    for port in service.get("ports", []):
        assert str(port).startswith("127.0.0.1:"), (name, port)
    if name != "kafka":
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["image"] == services["train"]["image"] and "build" in service, name
        assert "healthcheck" in service or name == "train", name
state = [v.split(":")[0] for s in ("train", "score") for v in services[s]["volumes"] if "/var/lib/espalier" in v]
assert state == ["state", "state"], state
END
}
dockerfile_fits_the_tree() {
    local version
    version=$(sed -n 's/^project(espalier VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
    [ -n "$version" ] && says "image.version=\"$version\"" cat Dockerfile || return 1
    # Two stages of the same Debian; not root; exec forms, which pass signals on.
    [ "$(grep -c '^FROM debian:bookworm-slim' Dockerfile)" = 2 ] &&
        [ "$(grep -c '^FROM' Dockerfile)" = 2 ] &&
        [ "$(grep '^USER' Dockerfile)" = "USER 10001:10001" ] &&
        grep -q '^STOPSIGNAL SIGTERM' Dockerfile &&
        grep -q '^ENTRYPOINT \["espalier"\]' Dockerfile &&
        grep -q '^CMD \["train", "--follow"\]' Dockerfile &&
        grep -q 'CMD \["/usr/local/libexec/espalier/healthcheck"\]' Dockerfile &&
        grep -q 'tools/setup --for build' Dockerfile &&
        grep -q 'tools/docker/install /image' Dockerfile || return 1
    # What is copied is there and not ignored.
    local path
    for path in tools/setup tools/docker/runtime-packages; do
        grep -q "^COPY $path " Dockerfile && [ -e "$path" ] && grep -qx "!${path%%/*}" .dockerignore ||
            { echo "$path" && return 1; }
    done
}
# What the build reads and .dockerignore holds back would be missed only in the engine.
build_needs_nothing_ignored() {
    local copy=$work/context path
    mkdir "$copy"
    while read -r path; do
        cp -r "${path#!}" "$copy/"
    done < <(grep '^!' .dockerignore)
    [ ! -e "$copy/.git" ] && [ ! -e "$copy/tests" ] &&
        cmake -S "$copy" -B "$copy/build" -G Ninja -DESP_TESTS=OFF -DESP_COMMIT=c0ffee >/dev/null &&
        grep -q 'c0ffee' "$copy/build/src/generated/core/version.h" &&
        ninja -C "$copy/build" -n >/dev/null
}

# ---- the tree ------------------------------------------------------------------------------------

installs() {
    tools/docker/install --build "$ESPALIER_BUILD" "$root" >/dev/null || return 1
    chmod -R a-w "$root"
    [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$home"
    local file
    for file in usr/local/bin/espalier usr/local/bin/espalier-sim etc/espalier/espalier.ini \
        usr/local/libexec/espalier/healthcheck usr/local/libexec/espalier/create-topics \
        usr/local/share/espalier/schemas/impression.avsc; do
        [ -r "$root/$file" ] || { echo "$file is missing" && return 1; }
    done
    [ -x "$root/usr/local/libexec/espalier/healthcheck" ]
}
packages() {
    grep -v '^#' tools/docker/runtime-packages
}
# The package that a library belongs to; /lib may be a link to /usr/lib, and dpkg knows one of both.
owner_of() { # PATH
    local path
    path=$(readlink -f "$1")
    { dpkg -S "$path" || dpkg -S "${path#/usr}" || dpkg -S "/usr$path"; } 2>/dev/null |
        cut -d : -f 1 | head -n 1
}
libraries_are_installed() {
    local library owner file
    # shellcheck disable=SC2046 # several packages
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances $(packages) | grep -oE '^[a-z0-9][a-z0-9.+-]*' | sort -u \
        >"$work/pulled-in"
    for file in "$root"/usr/local/bin/* "$(find "$root/usr/local/lib" -name 'libespalier.so.*' -type f)"; do
        LD_LIBRARY_PATH=$root/usr/local/lib ldd "$file"
    done >"$work/ldd"
    ! grep 'not found' "$work/ldd" || return 1
    grep -oE '=> /[^ ]+' "$work/ldd" | cut -c 4- | grep -vF "$root" | sort -u >"$work/libraries"
    [ "$(wc -l <"$work/libraries")" -ge 20 ] || return 1
    while read -r library; do
        owner=$(owner_of "$library")
        grep -qxF "$owner" "$work/pulled-in" ||
            { echo "$library is of ${owner:-no package}, which the image does not install" && return 1; }
    done <"$work/libraries"
}
# Each listed package has a library that a program names, so that the list does not outgrow them.
packages_are_needed() {
    local name package
    for name in $(readelf -d "$root"/usr/local/bin/* | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
        owner_of "$(grep -F "/$name" "$work/libraries" | head -n 1)"
    done 2>/dev/null | sort -u >"$work/named"
    for package in $(packages); do
        [ "$package" = ca-certificates ] || grep -qxF "$package" "$work/named" ||
            { echo "no program needs $package" && return 1; }
    done
}

# ---- the programs --------------------------------------------------------------------------------

free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}
port=$(free_port)

# The configuration of the image, with files in place of the broker and the paths of this tree.
localise() {
    sed -e "s|^bootstrap.servers = .*||; s|^\[kafka\]|[files]\nroot = $home/events|" \
        -e "s|/usr/local/|$root/usr/local/|; s|/var/lib/espalier|$home|" \
        -e "s|^port = .*|port = $port|; s|^listen = .*|listen = 127.0.0.1|" \
        "$root/etc/espalier/espalier.ini" >"$configuration"
}
runs_without_rights() {
    localise &&
        ! (cd / && unprivileged touch "$root/usr/local/bin/new" 2>/dev/null) &&
        says "$(sed -n 's/^project(espalier VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)" \
            installed espalier --version
}
# With no patience, or with that of 60 s.
create_topics() { # PATIENCE_S [OPTION...]
    unprivileged env ESPALIER_PATIENCE_S="$1" PATH="$root/usr/local/bin:$PATH" \
        LD_LIBRARY_PATH="$root/usr/local/lib" "$root/usr/local/libexec/espalier/create-topics" \
        --config "$configuration" "${@:2}"
}
topics_are_waited_for() {
    local said code=0 pid
    # Without patience it is one check, and its code.
    said=$(create_topics 0 2>&1) || code=$?
    [ $code -eq 64 ] && says events/impressions echo "$said" || return 1
    create_topics 60 >"$work/created" 2>"$work/waiting" &
    pid=$!
    wait_until grep -q events/impressions "$work/waiting" || return 1
    installed espalier-sim --out "files:$home/events" --live --start now-2h --rate 36000 \
        --impressions 72000 --stop-after 2h --disorder 10s --preference-drift 12h >/dev/null || return 1
    # Each reason is said once: of impressions, perhaps of clicks and installs.
    wait $pid && tail -n 1 "$work/created" | grep -qx ready && [ "$(wc -l <"$work/waiting")" -le 3 ]
}
waiting_ends_with_a_signal() {
    local code=0 pid
    mkdir "$work/nothing"
    create_topics 60 -o files.root="$work/nothing" >"$work/created" 2>"$work/waiting" &
    pid=$!
    wait_until grep -q nothing/impressions "$work/waiting" || return 1
    pkill -TERM -P $pid -x create-topics || kill -TERM $pid
    wait $pid || code=$?
    [ $code -eq 143 ] || { echo "exit code $code" && return 1; }
}
# Two hours at a tenth of the pace: every age of the configuration has a window.
shows_drift() {
    installed espalier train --config "$configuration" -o serve.port=0 >/dev/null 2>"$home/log" ||
        { cat "$home/log" && return 1; }
    installed espalier drift --config "$configuration" --format json >"$work/drift.json" || return 1
    jq -e '[.records[] | select(.age != null) | .age] | unique == [0, 1, 2, 3, 6, 12]' "$work/drift.json"
}
scores() {
    installed espalier score --config "$configuration" --summary "$home/scores.json" >/dev/null \
        2>"$home/log" || { cat "$home/log" && return 1; }
    jq -e '.read == .scored and .scored > 60000' "$home/scores.json"
}
health() {
    "$root/usr/local/libexec/espalier/healthcheck" "$port"
}
health_is_told() {
    wait_until health && [ "$(health)" = ok ]
}
nobody_is_well_yet() {
    ! health
}
run_is_without_rights() {
    [ "$(id -u)" -ne 0 ] || grep -qE '^Uid:\s+65534' /proc/"$program_pid"/status
}
# A program that is stopped still has its port: connections are taken and nothing is said.
hang_is_told() {
    local said
    kill -STOP "$program_pid"
    said=$(health)
    local code=$?
    kill -CONT "$program_pid"
    [ $code -eq 1 ] && says "does not answer" echo "$said" && wait_until health
}
end_is_told() {
    [ "$code" -eq 0 ] && ! health
}
# The page's own words come with a failure.
reason_is_told() {
    local answer='HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nlearning'
    python3 - "$work/stand-in" "$answer" <<'END' &
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
open(sys.argv[1] + ".new", "w").write(str(s.getsockname()[1]))
__import__("os").rename(sys.argv[1] + ".new", sys.argv[1])
c, _ = s.accept()
asked = b""  # to its end: closing with something unread resets, and the answer is lost
while not asked.endswith(b"\r\n\r\n"):
    asked += c.recv(1000)
assert asked.startswith(b"GET /healthz HTTP/1.0\r\n")
c.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
c.close()
END
    wait_until test -e "$work/stand-in" || return 1
    local said code=0
    said=$("$root/usr/local/libexec/espalier/healthcheck" "$(cat "$work/stand-in")") || code=$?
    [ $code -eq 1 ] && [ "$said" = learning ]
}

check "docker-compose takes docker-compose.yml, and its containers have no rights" compose_is_accepted
check "the Dockerfile fits the tree" dockerfile_fits_the_tree
check "the build needs nothing that .dockerignore holds back" build_needs_nothing_ignored
check "the script of the image installs everything" installs
if grep -qx 'VERSION_ID="12"' /etc/os-release; then
    check "every library is of a package that the image installs" libraries_are_installed
    check "every package that the image installs is needed" packages_are_needed
fi
check "the programs run without rights on a tree that they cannot write" runs_without_rights
check "topics are made once those to read are there" topics_are_waited_for
check "the waiting ends with a signal" waiting_ends_with_a_signal
check "the configuration of the image has a drift table within two hours of events" shows_drift
check "and its snapshots score the impressions" scores
check "where nothing runs nothing is well" nobody_is_well_yet
installed espalier train --config "$configuration" --follow >"$work/out" 2>"$home/log" &
run_pid=$!
check "a run that follows is well" health_is_told
program_pid=$(pgrep -o -f "^$root/usr/local/bin/espalier train") # not one that it has forked
check "and has no rights" run_is_without_rights
check "one that hangs is not well" hang_is_told
kill -TERM "$program_pid"
code=0
wait "$run_pid" || code=$?
program_pid=
check "one that was stopped ends in order, and is not well" end_is_told
check "one that says 503 is not well, and the reason is told" reason_is_told
finish
