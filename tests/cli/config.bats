# What a wrong configuration or command line gets: one line a problem, each with file, line, key and
# the mend, exit 64, before anything is read.
load cli

setup() {
    use_folder
    mkdir -p events/{impressions,clicks,installs}/partition=0
    printf '%s\n' '[files]' 'root = events' '[features]' 'categorical = ad' >good.ini
}

# The problem that one more section and line make of a good configuration; it begins at line 5.
problem_of() { # SECTION LINE
    { cat good.ini && printf '[%s]\n%s\n' "$1" "$2"; } >bad.ini
    run -64 espalier train --config bad.ini
}

@test "a good configuration runs, even over topics without a record" {
    run -0 --separate-stderr espalier train --config good.ini
    says_line "impressions: 0 read = 0 labelled"
    run -0 --separate-stderr espalier check --config good.ini
    mentions "no records yet: whether its files have the fields is seen with the first"
}

@test "an unknown key is named with the nearest known one" {
    problem_of join "click_windw = 1h"
    says "bad.ini:6: [join] click_windw: unknown key; did you mean click_window?" \
        "espalier: bad.ini: 1 problem"
}

@test "a key that resembles none is sent to the manual" {
    problem_of join "colour = blue"
    says_line "bad.ini:6: [join] colour: unknown key; remove it, or see the manual for this section's keys"
}

@test "an unknown section is named with the nearest known one" {
    problem_of imressions "topic = a"
    says_line "bad.ini:5: [imressions]: unknown section; did you mean [impressions]?"
}

@test "a misspelt model section is named with its nearest form" {
    problem_of "modle fast" "width = 8"
    mentions "bad.ini:5: [modle fast]: unknown section; did you mean [model"
}

@test "a span without a unit is a wrong type" {
    problem_of join "click_window = 60"
    says_line "bad.ini:6: [join] click_window = 60: not a span; write a number and a unit, such as 30s, 1h or 7d"
}

@test "a word for a number is a wrong type" {
    problem_of sample "holdout = much"
    says_line "bad.ini:6: [sample] holdout = much: not a number; write it like 0.05 or 1e-3"
}

@test "a word that is no choice is told the choices" {
    problem_of input "at_end = stop"
    says_line "bad.ini:6: [input] at_end = stop: not a choice; write hold, close or auto"
}

@test "a switch is on or off" {
    problem_of output "examples = maybe"
    says_line "bad.ini:6: [output] examples = maybe: not a switch; write on or off"
}

@test "a number out of range is told the range" {
    problem_of sample "negatives = 1.5"
    says_line "bad.ini:6: [sample] negatives = 1.5: out of range; write a number from 1e-06 to 1"
}

@test "an empty item of a list is counted" {
    sed "s/categorical = ad/categorical = ad, , app/" good.ini >bad.ini
    run -64 espalier train --config bad.ini
    says_line "bad.ini:4: [features] categorical = ad, , app: item 2 of the list is empty; take the comma away"
}

@test "the same key twice names both lines" {
    { cat good.ini && printf '[files]\nroot = elsewhere\n'; } >bad.ini
    run -64 espalier train --config bad.ini
    says_line "bad.ini:6: [files] root: stands already at bad.ini:2; remove one of the two"
}

@test "all problems of a file are said at once" {
    { cat good.ini && printf '[join]\nskew = 1\n[sample]\nholdout = 2\n[nonsense]\na = 1\n'; } >bad.ini
    run -64 espalier train --config bad.ini
    [ "${#lines[@]}" -eq 4 ]
    says_line "espalier: bad.ini: 3 problems"
}

@test "no input at all" {
    printf '[features]\ncategorical = ad\n' >bad.ini
    run -64 espalier train --config bad.ini
    mentions "give [kafka] bootstrap.servers, or [files] root"
}

@test "both kinds of input" {
    problem_of kafka "bootstrap.servers = 127.0.0.1:9"
    mentions "both [files] and [kafka] are given; keep one"
}

@test "a property that librdkafka does not know keeps its place" {
    printf '%s\n' '[kafka]' 'bootstrap.servers = 127.0.0.1:9' 'fetch.colour = 1' \
        '[features]' 'categorical = advertiser_id' \
        '[impressions]' "schema = $SOURCE/schemas/impression.avsc" \
        '[clicks]' "schema = $SOURCE/schemas/click.avsc" \
        '[installs]' "schema = $SOURCE/schemas/install.avsc" >bad.ini
    run -64 espalier train --config bad.ini
    mentions "bad.ini:3"
    mentions "fetch.colour"
}

@test "no features" {
    printf '[files]\nroot = events\n' >bad.ini
    run -64 espalier train --config bad.ini
    mentions "no features; list the fields of an impression to learn from"
}

@test "a cross of something that is no feature" {
    { cat good.ini && echo "cross = ad x app"; } >bad.ini
    run -64 espalier train --config bad.ini
    mentions "bad.ini:5: [features] cross = ad x app: \"app\" is no feature; list it as one first"
}

@test "a root that is not there" {
    run -64 espalier train --config good.ini -o files.root=nowhere
    mentions "[files] root = nowhere"
    mentions "No such file or directory"
}

@test "a topic that is not there names its key and folder" {
    rmdir events/clicks/partition=0
    run -64 espalier train --config good.ini
    mentions "espalier: good.ini: [clicks] topic (by default): no folder events/clicks/partition=0"
}

@test "a missing topic that the file names keeps its line" {
    problem_of clicks "topic = taps"
    mentions "bad.ini:6: [clicks] topic = taps: no folder events/taps/partition=0"
}

@test "a configuration that is not there" {
    run -64 espalier train --config nowhere.ini
    mentions "nowhere.ini: cannot be read: No such file or directory"
}

@test "check says the same of a wrong configuration" {
    { cat good.ini && printf '[join]\nskew = 1\n'; } >bad.ini
    run -64 espalier check --config bad.ini
    says_line "bad.ini:6: [join] skew = 1: not a span; write a number and a unit, such as 30s, 1h or 7d"
}

@test "an override on the command line counts, and is named as such" {
    run -64 espalier train --config good.ini -o join.skew=1
    mentions "-o: [join] skew = 1: not a span"
}

@test "an override that is none" {
    run -64 espalier train --config good.ini -o skew
    mentions "-o skew: write section.key=value"
}

@test "an unknown command is named with the nearest" {
    run -64 espalier trian
    says 'espalier: no command "trian"; did you mean train; `espalier --help` lists them'
}

@test "no command at all prints the usage" {
    run -64 espalier
    mentions "Usage: espalier COMMAND"
}

@test "an unknown option" {
    run -64 espalier train --colour
    mentions "unrecognized option"
}

@test "--version says the version" {
    run -0 espalier --version
    [[ $output =~ ^espalier\ [0-9]+\.[0-9]+\.[0-9]+ ]]
}

@test "manual names every section and takes no arguments" {
    run -0 espalier manual
    says_line "## [impressions]"
    says_line "## [features]"
    run -64 espalier manual more
    run -0 espalier manual --help
    mentions "Usage: espalier manual"
}

@test "no broker where there should be one" {
    sed 's/^\[files\]/[kafka]/; s/^root = .*/bootstrap.servers =/' good.ini >bad.ini
    run -64 espalier check --config bad.ini
    mentions "[kafka] bootstrap.servers = : is missing; write host:port of a broker"
}

@test "check refuses folders that a run could not write to" {
    run -64 espalier check --config good.ini -o output.faults=nowhere
    mentions "-o: [output] faults = nowhere: the folder nowhere cannot be written to: No such file or directory"
    run -64 espalier check --config good.ini -o state.folder=nowhere/at/all
    mentions "[state] folder = nowhere/at/all: the folder nowhere/at/all cannot be written to"
}

@test "a file of more entries than are read is refused, not read in part" {
    {
        cat good.ini
        printf '[schemas]\n'
        for i in {1..4096}; do printf '%d = impressions:a.avsc\n' "$i"; done
    } >bad.ini
    run -64 espalier check --config bad.ini
    mentions "more than 4096 keys"
}
