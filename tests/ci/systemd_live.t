#!/usr/bin/env bash
# The units under a service manager that runs: readiness, the sandbox, a restart after a kill and after
# a hang, none after a wrong configuration, a stop. The manager is systemd itself as the first process
# of namespaces of its own; where these cannot be had nothing is checked, and the reason is said.
. "$(dirname "$0")/tap.sh"
unset OPENBLAS_CORETYPE
work=$(mktemp -d)
manager='' boots=''
leave() {
    # With its first process a PID namespace ends, and with that its mounts.
    if [ -n "$manager" ]; then kill -KILL "$manager" 2>/dev/null; fi
    if [ -n "$boots" ]; then kill -KILL "$boots" 2>/dev/null; fi
    wait 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT

# What the units see is in /mnt, for /tmp and homes are hidden from them.
prepare() {
    local unit
    mkdir "$work/bin" "$work/units"
    cp "$ESPALIER_BUILD/bin/espalier" "$work/bin"
    "$ESPALIER_BUILD/bin/espalier-sim" --out "files:$work/data" --impressions 20000 --days 2 \
        --fields small >/dev/null 2>&1
    for unit in sysinit basic shutdown network-online; do
        printf '[Unit]\nDescription=%s, empty\n' "$unit" >"$work/units/$unit.target"
    done
    printf '[Unit]\nDescription=nothing\n' >"$work/units/nothing.target"
    for unit in train score; do
        # The configuration is read elsewhere, so that nothing of /etc is touched.
        sed "s#^ExecStart=espalier#ExecStart=/mnt/bin/espalier#; s#%E/espalier/%i.ini#/mnt/%i.ini#
            /^ConfigurationDirectory=/d" \
            "tools/systemd/espalier-$unit@.service" >"$work/units/espalier-$unit@.service"
        mkdir "$work/units/espalier-$unit@.service.d"
        cat >"$work/units/espalier-$unit@.service.d/test.conf" <<INI
[Service]
StandardError=append:/mnt/$unit.log
ReadWritePaths=/mnt/data
Group=users
RestartSec=100ms
WatchdogSec=2
TimeoutAbortSec=500ms
INI
    done
    cat >"$work/good.ini" <<'INI'
[files]
root = /mnt/data
[features]
categorical = advertiser_id, geo.country
[model]
layers = 8
head_layers = 8
[state]
every = 100ms
INI
    sed 's/^categorical.*/categorical = no_such_field/' "$work/good.ini" >"$work/bad.ini"
    chmod -R a+rX "$work"
    chgrp users "$work/data"
    chmod g+rwxs "$work/data"
}

# Before the first process of the namespaces becomes the manager.
boot() {
    mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && cp -a "$work/." /mnt && chmod 755 /mnt &&
        mkdir /mnt/var /mnt/var/lib /mnt/var/tmp && mount --bind /mnt/var /var &&
        mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run && mount -t proc proc /proc &&
        umount -R -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
        exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH=/mnt/units \
            "$(systemd_path)" --system --unit=nothing.target --log-target=console
}
systemd_path() {
    ls /lib/systemd/systemd /usr/lib/systemd/systemd 2>/dev/null | head -n 1
}

inside() {
    timeout 60 nsenter -t "$manager" -m -p -u -i -C "$@"
}
is_up() {
    manager=$(pgrep -P "$boots" | head -n 1)
    [ -n "$manager" ] && inside systemctl show -p Version >/dev/null 2>&1
}
# Within 30 s.
wait_until() {
    local i
    for ((i = 0; i < 300; i++)); do
        if "$@"; then return 0; fi
        read -rt 0.1 <> <(:) || true
    done
    echo "in vain: $*"
    inside systemctl status --no-pager "espalier-*"
    inside sh -c 'tail -n 20 /mnt/*.log'
    return 1
}
start_manager() {
    export work
    export -f boot systemd_path
    unshare --fork --pid --mount --uts --ipc --cgroup bash -c boot >"$work/boot.log" 2>&1 &
    boots=$!
    local i
    for ((i = 0; i < 100; i++)); do
        if is_up; then return 0; fi
        kill -0 "$boots" 2>/dev/null || return 1
        read -rt 0.1 <> <(:) || true
    done
    return 1
}

shows() { # UNIT PROPERTY VALUE
    [ "$(inside systemctl show -p "$2" --value "espalier-$1")" = "$3" ]
}
main_pid() {
    inside systemctl show -p MainPID --value "espalier-$1"
}
has_checkpoint() {
    inside sh -c 'ls /var/lib/private/espalier/train-good/checkpoints/*.checkpoint' >/dev/null 2>&1
}
has_scores() {
    inside sh -c 'ls /mnt/data/espalier.scores/partition=0/*.avro' >/dev/null 2>&1
}

starts() { # UNIT
    inside systemctl start "espalier-$1" && shows "$1" ActiveState active
}
tells_how_it_goes() {
    inside systemctl show -p StatusText --value "espalier-$1" | grep -E "$2"
}
keeps_its_state() {
    wait_until has_checkpoint &&
        [ "$(inside stat -c %a /var/lib/private/espalier/train-good)" = 750 ] &&
        [ "$(inside stat -c %u /var/lib/private/espalier/train-good)" -ge 60000 ]
}
goes_on_after_a_kill() {
    inside kill -KILL "$(main_pid train@good)" && wait_until shows train@good NRestarts 1 &&
        wait_until shows train@good ActiveState active &&
        inside grep -q "going on from a checkpoint" /mnt/train.log
}
goes_on_after_a_hang() {
    inside kill -STOP "$(main_pid train@good)" && wait_until shows train@good NRestarts 2 &&
        wait_until shows train@good ActiveState active
}
stops() { # UNIT
    inside systemctl stop "espalier-$1" && shows "$1" Result success &&
        shows "$1" ActiveState inactive
}
stays_down() {
    if inside systemctl start espalier-train@bad; then return 1; fi
    shows train@bad ActiveState failed && shows train@bad NRestarts 0 &&
        shows train@bad ExecMainStatus 64 && inside grep -q no_such_field /mnt/train.log
}

prepare
if ! start_manager; then
    skip "the units under a manager" "none can be run here: $(tail -n 1 "$work/boot.log")"
    finish
    exit
fi
check "training is started once it has read" starts train@good
check "it tells how it goes" tells_how_it_goes train@good "[0-9,]+ read"
check "it keeps its state as a user of its own" keeps_its_state
check "scoring runs beside it" starts score@good
check "and writes its scores" wait_until has_scores
check "killed, it is started again and goes on" goes_on_after_a_kill
check "hung, it is killed and goes on" goes_on_after_a_hang
check "training stops when it is told to" stops train@good
check "scoring stops when it is told to" stops score@good
check "a configuration that is wrong is not tried again" stays_down
finish
