# load.bats - espalier-load: rows become records, bad ones are named, and the counts add up.

load cli.bash

setup() {
    use_folder
    printf 'id,at,x\nb,2024-05-01 00:00:02,7\na,2024-05-01 00:00:01,8\nc,2024-05-01 00:00:03,\n' >in.csv
    times=(--map impression_id=id --map event_time=at:timestamp-millis)
}

load_csv() { # [option...]
    espalier-load in.csv --out files:out --topic t --partitions 1 "$@"
}

# Prints the records of a topic's only partition: fields of strings, longs and doubles, in hex for
# what is not text, one line a record. The Avro decoder is a dozen lines.
records() { # topic
    python3 - "out/$1"/partition=0/*.avro <<'PY'
import io, json, struct, sys
def long(f):
    n = shift = 0
    while True:
        b = f.read(1)[0]
        n |= (b & 127) << shift
        shift += 7
        if b < 128:
            return (n >> 1) ^ -(n & 1)
def value(f, t):
    if isinstance(t, list):
        return value(f, t[long(f)])
    if isinstance(t, dict):
        if t["type"] == "record":
            return {x["name"]: value(f, x["type"]) for x in t["fields"]}
        if t["type"] == "enum":
            return t["symbols"][long(f)]
        if t["type"] == "array":
            assert long(f) == 0
            return []
        return value(f, t["type"])
    if t in ("string", "bytes"):
        return f.read(long(f)).decode()
    if t in ("int", "long"):
        return long(f)
    if t == "double":
        return struct.unpack("<d", f.read(8))[0]
    if t == "float":
        return struct.unpack("<f", f.read(4))[0]
    if t == "boolean":
        return f.read(1) == b"\1"
    assert t == "null", t
for path in sys.argv[1:]:
    f = open(path, "rb")
    assert f.read(4) == b"Obj\1"
    meta = {}
    while (n := long(f)) != 0:
        for _ in range(n):
            key = f.read(long(f)).decode()
            meta[key] = f.read(long(f))
    f.read(16)
    schema = json.loads(meta["avro.schema"])
    while True:
        if not f.read(1):
            break
        f.seek(-1, 1)
        n, size = long(f), long(f)
        block = io.BytesIO(f.read(size))
        for _ in range(n):
            print(json.dumps(value(block, schema), separators=(",", ":")))
        assert block.read() == b""
        f.read(16)
PY
}

@test "rows become records in their order" {
    run load_csv "${times[@]}" --map x=x
    [ "$status" -eq 0 ]
    says "t: 3 rows read = 3 written + 0 filtered + 0 bad"
    run records t
    says '{"impression_id":"b","event_time":1714521602000,"x":"7"}' \
        '{"impression_id":"a","event_time":1714521601000,"x":"8"}' \
        '{"impression_id":"c","event_time":1714521603000,"x":""}'
}

@test "--sort brings them into the order of time, and keeps that of equals" {
    printf 'd,2024-05-01 00:00:01,9\n' >>in.csv
    load_csv "${times[@]}" --sort event_time
    run records t
    says '{"impression_id":"a","event_time":1714521601000}' \
        '{"impression_id":"d","event_time":1714521601000}' \
        '{"impression_id":"b","event_time":1714521602000}' \
        '{"impression_id":"c","event_time":1714521603000}'
}

@test "templates take columns, widths and the row's number, which filters do not change" {
    printf 'date,hour\n2020-07-03,8\n2020-07-04,15\n' >in.csv
    load_csv --map 'impression_id=td{row:06d}' --map 'event_time={date} {hour:02d}:00:00:timestamp-millis' \
        --map 'n={row}:int' --map 'braces={{{hour}}}' --where hour=15
    run records t
    says '{"impression_id":"td000001","event_time":1593874800000,"n":1,"braces":"{15}"}'
}

@test "--where: a comma is and, another --where is or" {
    printf 'id,a,b\n1,x,p\n2,x,q\n3,y,p\n4,z,\n' >in.csv
    load_csv --map impression_id=id --where a=x,b!=q --where b=
    run records t
    says '{"impression_id":"1"}' '{"impression_id":"4"}'
    run load_csv --map impression_id=id --where a=x,b!=q --where b=
    says "t: 4 rows read = 2 written + 2 filtered + 0 bad"
}

@test "quotes, doubled quotes, delimiters and line breaks inside fields, CRLF, a byte order mark" {
    printf '\xef\xbb\xbfid,"a ""b""",c\r\n1,"x,y",u"v\r\n\r\n2,"line\nbreak",""\r\n' >in.csv
    load_csv --map impression_id=id --map 'q=a "b"' --map c=c
    run records t
    says '{"impression_id":"1","q":"x,y","c":"u\"v"}' \
        '{"impression_id":"2","q":"line\nbreak","c":""}'
}

@test "another delimiter, through standard input" {
    printf 'id\tv\n1\t2,5\n' | espalier-load - --delimiter tab --out files:out --topic t \
        --partitions 1 --map impression_id=id --map v=v
    run records t
    says '{"impression_id":"1","v":"2,5"}'
}

@test "JSON lines: members, paths of members, numbers, null" {
    printf '%s\n' '{"id":"1","app":{"bundle":"x"},"n":5,"f":0.5,"ok":true}' '' \
        '{"id":"2","app.bundle":"y","n":-9007199254740993,"f":2,"ok":false}' >in.jsonl
    espalier-load in.jsonl --out files:out --topic t --partitions 1 --map impression_id=id \
        --map app.bundle=app.bundle --map n=n:long --map f=f:double --map ok=ok:boolean
    run records t
    says '{"impression_id":"1","app":{"bundle":"x"},"n":5,"f":0.5,"ok":true}' \
        '{"impression_id":"2","app":{"bundle":"y"},"n":-9007199254740993,"f":2.0,"ok":false}'
}

@test "a schema of one's own: unions, defaults, enums, nested records" {
    cat >s.avsc <<'JSON'
{"type":"record","name":"R","fields":[
 {"name":"impression_id","type":"string"},
 {"name":"event_time","type":{"type":"long","logicalType":"timestamp-micros"}},
 {"name":"x","type":["null","double"],"default":null},
 {"name":"os","type":{"type":"enum","name":"Os","symbols":["ANDROID","IOS"]},"default":"IOS"},
 {"name":"geo","type":["null",{"type":"record","name":"Geo","fields":[
   {"name":"country","type":["null","string"]},{"name":"city","type":"string","default":"none"}]}],
  "default":null},
 {"name":"tags","type":{"type":"array","items":"int"},"default":[]}]}
JSON
    printf 'id,t,x,c\n1,1714521600,0.25,DE\n2,-1,,\n' >in.csv
    load_csv --schema s.avsc --map impression_id=id --map event_time=t:epoch-s --map x=x \
        --map geo.country=c
    run records t
    says '{"impression_id":"1","event_time":1714521600000000,"x":0.25,"os":"IOS","geo":{"country":"DE","city":"none"},"tags":[]}' \
        '{"impression_id":"2","event_time":-1000000,"x":null,"os":"IOS","geo":{"country":null,"city":"none"},"tags":[]}'
}

@test "bad rows are named by line, left out and counted; exit 65" {
    printf '%s\n' id,at,x '1,2024-05-01,5' '2,tomorrow,5' '3,2024-05-01' '"4,2024-05-01' >in.csv
    run load_csv "${times[@]}"
    [ "$status" -eq 65 ]
    mentions 'in.csv:3: event_time: "tomorrow" is no time'
    mentions 'in.csv:4: 2 fields, but the header has 3'
    mentions 'in.csv:5: a quoted field does not end'
    mentions 't: 4 rows read = 1 written + 0 filtered + 3 bad'
    mentions 'allow them with --max-bad'
    run load_csv "${times[@]}" --max-bad 3
    [ "$status" -eq 0 ]
    printf '%s\n' '{"impression_id":1' '[]' '{"impression_id":[2]}' '{"impression_id":null}' '{}' >in.jsonl
    run espalier-load in.jsonl --out files:out --topic j --map impression_id=impression_id
    [ "$status" -eq 65 ]
    mentions "in.jsonl:1: no JSON object"
    mentions "in.jsonl:2: no JSON object: it is another value"
    mentions "in.jsonl:3: \"impression_id\" is a list or an object, not a value"
    mentions "in.jsonl:4: impression_id: is empty"
    mentions "5 rows read = 0 written + 0 filtered + 5 bad"
}

@test "numbers are whole, in range, and nothing else" {
    printf 'id,n\n1,2147483647\n2,2147483648\n3,1.5\n4, 1\n5,0x1\n6,-2147483648\n7,\n' >in.csv
    run load_csv --map impression_id=id --map n=n:int
    [ "$status" -eq 65 ]
    mentions "7 rows read = 2 written + 0 filtered + 5 bad"
}

@test "partitions are those of Java's producer" {
    # murmur2 of these keys as in Kafka's own UtilsTest.java, & 0x7fffffff, modulo 5.
    printf '%s\n' id abc foobar 21 a-little-bit-long-string a-little-bit-longer-string >in.csv
    espalier-load in.csv --out files:out --topic t --partitions 5 --map impression_id=id
    holds() { # partition key...
        for key in "${@:2}"; do grep -qa "$key" "out/t/partition=$1/"*.avro; done
    }
    holds 0 21
    holds 1 foobar
    holds 2 abc a-little-bit-long-string
    holds 4 a-little-bit-longer-string
    [ -z "$(find out/t/partition=3 -name '*.avro')" ]
}

@test "a topic is appended to" {
    load_csv "${times[@]}"
    load_csv "${times[@]}"
    [ "$(find out/t/partition=0 -name '*.avro' | wc -l)" = 2 ]
    [ "$(records t | wc -l)" = 6 ]
}

@test "what is wrong on the command line is named with the mend" {
    run espalier-load in.csv --out files:out --topic t --map impression_id=ide
    [ "$status" -eq 64 ]
    says 'espalier-load: in.csv has no column "ide"; do you mean "id"?'
    run espalier-load in.csv --out files:out --topic t --map x=x
    [ "$status" -eq 64 ]
    mentions "--key impression_id: no --map fills that field"
    run espalier-load in.csv --topic t --map impression_id=id
    [ "$status" -eq 64 ]
    mentions "--out is missing"
    run espalier-load --out files:out --topic t --map impression_id=id
    [ "$status" -eq 64 ]
    mentions "the input is missing"
    run load_csv --map impression_id=id --map 'x={x:6d}'
    [ "$status" -eq 64 ]
    mentions "{x:6d}"
    run load_csv --map impression_id=id --map 'x=}'
    [ "$status" -eq 64 ]
    run load_csv --map impression_id=id --map impression_id=x
    [ "$status" -eq 64 ]
    mentions "mapped twice"
    run load_csv --map impression_id=id --sort impression_id
    [ "$status" -eq 64 ]
    mentions "neither a time nor a whole number"
    run load_csv --map impression_id=id --where id
    [ "$status" -eq 64 ]
    run load_csv --map impression_id=id --schema "$SOURCE/schemas/impression.avsc"
    [ "$status" -eq 64 ]
    mentions '"event_time" has no default; give it a value with --map event_time=COLUMN'
    run load_csv "${times[@]}" --schema "$SOURCE/schemas/click.avsc" --map clik_id=x
    [ "$status" -eq 64 ]
    mentions 'do you mean "click_id"?'
    [ ! -e out ]
}

@test "a file that is not there is a failure of its own; an empty one has no header" {
    run espalier-load none.csv --out files:out --topic t --map impression_id=id
    [ "$status" -eq 74 ]
    mentions "cannot read none.csv"
    : >empty.csv
    run espalier-load empty.csv --out files:out --topic t --map impression_id=id
    [ "$status" -eq 65 ]
    mentions "empty.csv has no header line"
}

@test "a sort that does not fit is refused" {
    { echo id,n; for i in $(seq 1 300); do printf '%s%05000d,%s\n' "$i" 0 "$i"; done; } >in.csv
    run load_csv --map impression_id=id --map n=n:int --sort n --sort-limit 1
    [ "$status" -eq 65 ]
    mentions "raise --sort-limit"
}

@test "help teaches and version answers" {
    run espalier-load --help
    [ "$status" -eq 0 ]
    mentions "Examples:"
    mentions "--sort=FIELD"
    run espalier-load --version
    [[ $output == espalier-load\ * ]]
}
