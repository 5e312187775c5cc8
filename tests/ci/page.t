#!/usr/bin/env bash
# The page of espalier drift in a headless browser: it shows the records' figures, asks for nothing
# but itself, says nothing on the console, and takes nothing in a name for a script.
. "$(dirname "$0")/tap.sh"
PATH=$ESPALIER_BUILD/bin:$PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Two models, the second with a name that would like to be a script; ages 0 and 1; two tasks. The
# figures are worked out in tests/cli/drift.bats.
lines() {
    local both='examples=100 positives=40 w=100 y=40 ww=100 wy=40 yy=40'
    local calm='p=44 pp=30 py=20 wp=44 lp=20 ly=20'
    local pair='paired_examples=100 paired_positives=40 paired_clusters=100 paired_w=100 paired_ww=100'
    local who
    for who in "model=main" "model=</script><script>document.title='taken'</script>&amp;" \
        "model=main task=install"; do
        echo "$who start=2026-01-05T00:00:00Z age=0 $both $calm l=50 wl=50 ll=26 roc_auc=0.7"
        echo "$who start=2026-01-05T00:00:00Z age=1 $both $calm l=52 wl=52 ll=28 $pair" \
            "paired_d=2 paired_dd=0.29 paired_dw=2"
        echo "$who start=2026-01-05T01:00:00Z age=0 $both $calm l=60 wl=60 ll=37 roc_auc=0.8"
        echo "$who start=2026-01-05T01:00:00Z age=1 $both $calm l=61 wl=61 ll=38.21 $pair" \
            "paired_d=1 paired_dd=0.26 paired_dw=1"
        echo "$who start=2026-01-05T00:00:00Z kind=progressive $both $calm l=58 wl=58 ll=35"
    done
}

# Watches the page from inside: what it fetches, what its policy stops, what fails or is logged.
watch_page() { # IN OUT SCRIPT-AT-THE-END
    python3 - "$@" <<'END'
import sys
page = open(sys.argv[1]).read()
head = """<head><script>
var seen = [];
for (const name of ["error", "warn"]) console[name] = (...what) => seen.push(name + " " + what);
addEventListener("error", (event) => seen.push("failed " + event.message), true);
addEventListener("securitypolicyviolation", (event) => seen.push("fetched " + event.blockedURI));
</script>"""
tail = """<script>%s
addEventListener("load", () => setTimeout(() => {
    for (const one of performance.getEntriesByType("resource")) seen.push("fetched " + one.name);
    const note = document.createElement("pre");
    note.id = "seen";
    note.textContent = JSON.stringify(seen);
    document.body.append(note);
}, 100));
</script></body>""" % sys.argv[3]
assert page.count("<head>") == 1 and page.count("</body>") == 1
open(sys.argv[2], "w").write(page.replace("<head>", head).replace("</body>", tail))
END
}

# The browser's own requests have nowhere to go.
browse() { # PAGE; prints the document as it stands after the scripts
    timeout 120 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-sync \
        --disable-background-networking --disable-component-update --proxy-server=127.0.0.1:9 \
        --user-data-dir="$folder/browser" --enable-logging=stderr --virtual-time-budget=5000 \
        --dump-dom "file://$1" 2>"$folder/browser.log"
}

# Text of the document, a line a cell or paragraph.
text_of() { # DOM
    python3 - "$1" <<'END'
import html.parser
import sys


class Text(html.parser.HTMLParser):
    depth = 0

    def handle_starttag(self, tag, attrs):
        self.depth += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.depth -= tag in ("script", "style")

    def handle_data(self, data):
        if self.depth == 0 and data.strip():
            print(data.strip())


Text().feed(open(sys.argv[1]).read())
END
}

writes_the_page() {
    mkdir "$folder/data" &&
        lines | drift-records "files:$folder/data" espalier.drift &&
        espalier drift --from "$folder/data" --html "$folder/page.html" >/dev/null &&
        watch_page "$folder/page.html" "$folder/first.html" "" &&
        watch_page "$folder/page.html" "$folder/second.html" '
            for (const [id, value] of [["task", "install"], ["measure", "loss"], ["by", "days"]]) {
                document.getElementById(id).value = value;
                document.getElementById(id).dispatchEvent(new Event("change"));
            }' &&
        browse "$folder/first.html" >"$folder/first.dom" &&
        text_of "$folder/first.dom" >"$folder/first.txt" &&
        cp "$folder/browser.log" "$folder/first.log" &&
        browse "$folder/second.html" >"$folder/second.dom" &&
        text_of "$folder/second.dom" >"$folder/second.txt"
}

# Thirteen windows of which the first has ten times the others' loss.
leaves_a_first_loss_above_the_scale() {
    local hour loss
    mkdir "$folder/young"
    for hour in {0..12}; do
        loss=$((hour == 0 ? 500 : 50 + hour % 3))
        printf 'model=main start=2026-01-05T%02d:00:00Z age=0 examples=100 positives=40 ' "$hour"
        echo "w=100 y=40 ww=100 wy=40 yy=40 p=44 pp=30 py=20 wp=44 l=$loss wl=$loss ll=$((loss * loss / 90)) lp=20 ly=20"
    done | drift-records "files:$folder/young" espalier.drift &&
        espalier drift --from "$folder/young" --by window --html "$folder/young.html" >/dev/null &&
        browse "$folder/young.html" >"$folder/young.dom" &&
        text_of "$folder/young.dom" >"$folder/young.txt" &&
        grep -A1 -x "Loss over time" "$folder/young.txt" | grep -qF "Points above the scale: 1." &&
        ! grep -A1 -x "Calibration over time" "$folder/young.txt" | grep -F "above the scale:"
}

has_lines() { # FILE LINE...
    local line file=$1 missing=''
    shift
    for line in "$@"; do
        grep -qxF -e "$line" "$file" || { echo "missing: $line" && missing=yes; }
    done
    [ -z "$missing" ] || { cat "$file" && return 1; }
}

shows_the_figures() {
    has_lines "$folder/first.txt" \
        "A model 1 h old loses 0.0150 nats (0.0080 to 0.0220) on clicks, 2.7 % of the loss of one up to date." \
        0.5500 "(0.5345 to 0.5655)" 0.5650 "(0.5499 to 0.5801)" 0.8172 0.0150 "(0.0080 to 0.0220)" \
        1.100 "(0.896 to 1.304)" 0.7500 0.0200 "(0.0102 to 0.0298)" 0.0100 "(0.0002 to 0.0198)" &&
        grep -qF "Run 0123456789abcdef · 2026-01-05 00:00 to 2026-01-05 02:00 UTC · windows of 1 h · 200 holdout examples for clicks" "$folder/first.txt"
}
follows_the_controls() {
    has_lines "$folder/second.txt" \
        "A model 1 h old loses 0.0150 nats (0.0080 to 0.0220) on installs, 2.7 % of the loss of one up to date." \
        "Loss of a model of each age, all on the same impressions. Bands are 95 % intervals. Ages are spaced evenly, not to scale." \
        2026-01-05
}
draws_four_charts() {
    [ "$(grep -o '<canvas[^>]*width="[0-9]*"' "$folder/first.dom" | wc -l)" -eq 4 ] &&
        grep -q 'data-state="drawn"' "$folder/first.dom"
}
fetches_and_says_nothing() {
    local page
    for page in first second; do
        has_lines "$folder/$page.txt" "[]" || return 1
    done
    ! grep CONSOLE "$folder/first.log" "$folder/browser.log"
}
names_are_no_scripts() {
    has_lines "$folder/first.txt" "</script><script>document.title='taken'</script>&amp;:" &&
        ! grep -q '<title>taken' "$folder/first.dom"
}
is_small() {
    python3 - "$folder/page.html" <<'END'
import re
import sys
page = open(sys.argv[1]).read()
data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
rest = len(page.encode()) - len(data.group(1).encode())
assert rest < 300000, rest
assert not re.search(r'(src|href)\s*=|url\(|@import', re.sub(r'<script.*?</script>', '', page, flags=re.S))
END
}

check "the page is written and opened" writes_the_page
check "it shows the figures of the records" shows_the_figures
check "it follows its controls" follows_the_controls
check "it draws its charts" draws_four_charts
check "it fetches nothing, and nothing fails or is logged" fetches_and_says_nothing
check "a model's name is no script" names_are_no_scripts
check "one loss far above the others does not flatten them" leaves_a_first_loss_above_the_scale
check "without its data it is below 300 kB, and names no other file" is_small
finish
