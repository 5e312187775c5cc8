# supervise.bats - what a service manager hears of a run: a stand-in listens on NOTIFY_SOCKET.

load cli.bash

setup() {
    use_folder
    espalier-sim --out files:data --impressions 2000 --days 1 --fields small --partitions 2 \
        >/dev/null 2>&1
    printf '[files]\nroot = data\n[features]\ncategorical = advertiser_id, geo.country\n' >e.ini
    printf '[serve]\nstall_after = 1s\n' >>e.ini
}

manager() { # reads the test, in Python
    { cat "$BATS_TEST_DIRNAME/supervise.py" - && echo 'print("end")'; } >test.py
    run python3 test.py
    [ ! -e log ] || cat log
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    mentions end
}

@test "train says that it starts, is ready, lives, and stops" {
    manager <<'END'
manager = Manager(["espalier", "train", "--config", "e.ini", "--follow"], 400000)
first = manager.hear()
assert first["STATUS"].startswith("starting"), first
assert "READY" not in first
ready = manager.hear_until(lambda m: "READY" in m)[-1]
assert "events" in ready["STATUS"] or "read" in ready["STATUS"], ready
for _ in range(3):
    manager.hear_until(lambda m: m.get("WATCHDOG") == "1")
assert manager.end() == 0
manager.hear_until(lambda m: m.get("STOPPING") == "1")
assert sum("READY" in m for m in manager.heard) == 1
END
}

@test "score says that it waits for a snapshot, is ready, lives, and stops" {
    "$ESPALIER_BUILD/tests/bin/score_tool" learn e.ini model.safetensors 7 >/dev/null
    manager <<'END'
manager = Manager(["espalier", "score", "--config", "e.ini", "--follow", "--snapshot",
                   "one.safetensors"], 400000)
waits = manager.hear_until(lambda m: "waiting for a snapshot" in m.get("STATUS", ""))
assert not any("READY" in m for m in waits)
manager.hear_until(lambda m: "WATCHDOG" in m)
os.rename("model.safetensors", "one.safetensors")
ready = manager.hear_until(lambda m: "READY" in m)[-1]
assert "scored" in ready["STATUS"], ready
manager.hear_until(lambda m: "WATCHDOG" in m)
assert manager.end() == 0
manager.hear_until(lambda m: m.get("STOPPING") == "1")
END
}

@test "the watchdog is not fed while a thread hangs, and is again once it goes on" {
    manager <<'END'
manager = Manager(["espalier", "train", "--config", "e.ini", "--follow"], 400000)
manager.hear_until(lambda m: "WATCHDOG" in m)
with manager.hangs("ingest"):
    hung = lambda m: "the ingest thread has not gone round for " in m.get("STATUS", "")
    manager.hear_until(hung)
    for _ in range(5):
        message = manager.hear()
        assert hung(message) and "WATCHDOG" not in message, message
manager.hear_until(lambda m: "WATCHDOG" in m)
assert manager.end() == 0
END
}

@test "a run that ends by itself was ready, one that fails was not" {
    manager <<'END'
manager = Manager(["espalier", "train", "--config", "e.ini"], 0)
assert manager.run.wait(PATIENCE_S) == 0
messages = manager.hear_until(lambda m: "STOPPING" in m)
assert sum("READY" in m for m in messages) == 1, messages
os.unlink("notify")
manager = Manager(["espalier", "train", "--config", "e.ini", "-o", "clicks.topic=nowhere"], 0)
assert manager.run.wait(PATIENCE_S) == 64
messages = manager.hear_until(lambda m: "STOPPING" in m)
assert not any("READY" in m for m in messages), messages
END
}

@test "without a manager, or with one that does not listen, a run is as any other" {
    env -u NOTIFY_SOCKET espalier train --config e.ini
    NOTIFY_SOCKET=$PWD/nobody WATCHDOG_USEC=1000 espalier train --config e.ini
    NOTIFY_SOCKET=nonsense espalier train --config e.ini
}
