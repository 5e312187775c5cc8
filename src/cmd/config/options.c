/*
 * options.c - the option table.
 *
 * Its order is that of the manual. A row's doc is what the manual says of it, so it tells what the
 * option does to the user's data rather than what the code does with it.
 */
#include "cmd/config/options.h"

#include "core/timespan.h"

const char *const codec_words[] = {"null", "deflate", "snappy"};

#define FIELD(member)       offsetof(struct options, member)
#define INPUT(kind, member) FIELD(inputs[kind].member)
#define MODEL(member)       offsetof(struct model_options, member)

#define ROW(section_, key_, type_, offset_, fallback_, doc_)                              \
    {                                                                                     \
        .section = section_, .key = key_, .type = ESP_SETTING_##type_, .offset = offset_, \
        .fallback = fallback_, .doc = doc_                                                \
    }
#define RANGE(section_, key_, type_, offset_, fallback_, low_, high_, doc_)               \
    {                                                                                     \
        .section = section_, .key = key_, .type = ESP_SETTING_##type_, .offset = offset_, \
        .fallback = fallback_, .low = low_, .high = high_, .doc = doc_                    \
    }
#define CHOICE(section_, key_, offset_, fallback_, choices_, doc_)                       \
    {                                                                                    \
        .section = section_, .key = key_, .type = ESP_SETTING_CHOICE, .offset = offset_, \
        .fallback = fallback_, .choices = choices_, .doc = doc_                          \
    }

/* What the three input sections have in common. */
#define INPUT_ROWS(where, kind, topic_fallback, id_fallback, id_doc)                               \
    ROW(where, "topic", TEXT, INPUT(kind, topic), topic_fallback,                                  \
        "The topic, or the folder below `files.root`, to read."),                                  \
        ROW(where, "id", TEXT, INPUT(kind, id), id_fallback, id_doc),                              \
        ROW(where, "time", TEXT, INPUT(kind, time), "event_time",                                  \
            "The field that holds the event time: a timestamp, or a number with `time_unit`. "     \
            "`@log` takes the Kafka record's own timestamp instead."),                             \
        CHOICE(where, "time_unit", INPUT(kind, time_unit), "logical", "logical|s|ms|us|ns",        \
               "The unit of the time field. `logical` reads it off the schema's logical type "     \
               "(timestamp-millis, timestamp-micros); a plain number needs one of the others."),   \
        ROW(where, "schema", TEXT, INPUT(kind, schema), NULL,                                      \
            "An Avro schema file (.avsc). It says how records are to be understood, whatever "     \
            "schema wrote them (Avro's resolution rules); with bare framing it is also the "       \
            "writer's. Files need none: containers carry theirs."),                                \
        CHOICE(                                                                                    \
            where, "framing", INPUT(kind, framing), "auto", "auto|confluent|single-object|bare",   \
            "How a record's bytes name their schema. `auto`: containers' own in files; in "        \
            "Kafka, confluent where `[schemas]` maps an id or a `registry` is named, else bare."), \
        RANGE(where, "grace", SPAN, INPUT(kind, grace_us), "10m", 0, 30.0 * 86400e6,               \
              "How far behind the largest event time of its partition an event may be and still "  \
              "count. Later ones go to the `late` topic.")

#define OPTIMIZER_ROWS(part, member, rate_fallback, initial_fallback, words)                      \
    CHOICE("model *", part "_optimizer", MODEL(member.kind), "adagrad", "adagrad|sgd|adam",       \
           "The optimizer of the " words "."),                                                    \
        RANGE("model *", part "_rate", REAL, MODEL(member.rate), rate_fallback, 1e-9, 100,        \
              "Its learning rate."),                                                              \
        RANGE("model *", part "_initial", REAL, MODEL(member.initial), initial_fallback, 0, 1e9,  \
              "Adagrad: what the accumulators of squared gradients start from."),                 \
        RANGE("model *", part "_half_life", SPAN, MODEL(member.half_life_us), "0", 0, 1e18,       \
              "Adagrad: accumulators halve over this much event time, so that rates recover in "  \
              "an endless stream; 0: never."),                                                    \
        CHOICE("model *", part "_schedule", MODEL(member.schedule), "constant",                   \
               "constant|inverse",                                                                \
               "SGD: `inverse` divides the rate by 1 + examples learned / horizon."),             \
        RANGE("model *", part "_horizon", REAL, MODEL(member.horizon), "1000000", 1, 1e18,        \
              "SGD: the horizon of the inverse schedule, in examples."),                          \
        RANGE("model *", part "_beta1", REAL, MODEL(member.beta1), "0.9", 0, 0.999999,            \
              "Adam: decay of the first moment."),                                                \
        RANGE("model *", part "_beta2", REAL, MODEL(member.beta2), "0.999", 0, 0.9999999,         \
              "Adam: decay of the second moment."),                                               \
        RANGE("model *", part "_epsilon", REAL, MODEL(member.epsilon), "1e-8", 1e-12, 1,          \
              "Adam and Adagrad: added to the root of the second moment or accumulator."),        \
        RANGE("model *", part "_l2", REAL, MODEL(member.l2), "0", 0, 1,                           \
              "L2 penalty an update; 0: none."),                                                  \
        RANGE("model *", part "_clip", REAL, MODEL(member.clip), "0", 0, 1e9,                     \
              "Bound on the norm of the summed gradient (of all dense weights; of each row); 0: " \
              "none. Clipped steps are counted.")

const struct esp_setting option_table[] = {
    ROW("files", "root", TEXT, FIELD(files_root), NULL,
        "A folder that stands for the cluster: a folder a topic, in it `partition=N/*.avro`. Give "
        "either this section or `[kafka]`."),
    CHOICE("files", "codec", FIELD(files_codec), "null", "null|deflate|snappy",
           "The compression of the container files that are written."),

    INPUT_ROWS("impressions", ESP_IMPRESSION, "impressions", "impression_id",
               "The field that identifies an impression: string, bytes, fixed, int or long."),
    INPUT_ROWS("clicks", ESP_CLICK, "clicks", "impression_id",
               "The field that names the clicked impression."),
    ROW("clicks", "click_id", TEXT, INPUT(ESP_CLICK, click_id), "click_id",
        "The field that identifies the click itself; read only where `installs.refers_to` is "
        "click."),
    INPUT_ROWS("installs", ESP_INSTALL, "installs", "impression_id",
               "The field that names the impression, or the click (see `refers_to`)."),
    ROW("installs", "enabled", BOOL, INPUT(ESP_INSTALL, enabled), "on",
        "off: there are no installs; models learn clicks alone."),
    CHOICE("installs", "refers_to", INPUT(ESP_INSTALL, refers_to), "impression", "impression|click",
           "What an install's id names: the impression, or one of its clicks."),

    ROW("schema", "folder", TEXT, FIELD(schema_folder), NULL,
        "Where Kafka topics without `schema` of their own find it: `FOLDER/TOPIC.avsc`. Default: "
        "the "
        "folder `schemas` beside the configuration file."),
    ROW("schema", "registry", TEXT, FIELD(registry.url), NULL,
        "The address of a Schema Registry, `http://host:8081` or `https://host/path`. Kafka "
        "records "
        "are then Confluent-framed unless `framing` says otherwise, and a schema id that "
        "`[schemas]` does not map is looked up there."),
    ROW("schema", "registry_user", TEXT, FIELD(registry.user), NULL,
        "The user of basic authentication; default: none."),
    ROW("schema", "registry_password", TEXT, FIELD(registry.password), NULL,
        "Its password. It is never shown; better than here it stands in a file of its own."),
    ROW("schema", "registry_password_file", TEXT, FIELD(registry.password_file), NULL,
        "The file that holds it, with or without an end of line. Every property of `[kafka]` may "
        "stand in a file likewise: `sasl.password_file`."),
    ROW("schema", "registry_ca_file", TEXT, FIELD(registry.ca_file), NULL,
        "The certificates (PEM) that the registry's may be signed by; default: the system's."),
    RANGE(
        "schema", "registry_timeout", SPAN, FIELD(registry.timeout_us), "10s", 1e5, 300e6,
        "How long one request may take. A registry that does not answer is asked again, ever more "
        "slowly, until it does: the input waits, and nothing is skipped."),
    RANGE("schema", "registry_retries", INT, FIELD(registry.retries), "3", 0, 10,
          "How often a schema id that the registry does not know is asked for again, 100 ms later "
          "and doubling, before its records are dead letters."),
    RANGE("schema", "registry_forget", SPAN, FIELD(registry.forget_us), "5m", 0, 86400e6,
          "How long after that nobody is asked about it."),

    ROW("state", "folder", TEXT, FIELD(state_folder), "espalier-state",
        "Where runs keep what they need between starts: checkpoints, snapshots, schemas that were "
        "fetched, how far scoring came. Made when it is first needed. It serves one `espalier "
        "train` at a time, and one `espalier score` of a topic to an output."),
    CHOICE("state", "checkpoints", FIELD(checkpoints), "auto", "auto|on|off",
           "Whether training writes checkpoints, and goes on from the newest when it starts: "
           "`auto` with --follow."),
    RANGE("state", "every", SPAN, FIELD(state_every_us), "1m", 1e3, 86400e6,
          "The longest that training goes on without a checkpoint, while events come: what a kill "
          "makes it do again."),
    RANGE("state", "event_every", SPAN, FIELD(state_event_every_us), "0", 0, 90.0 * 86400e6,
          "Checkpoints also where the watermark has passed a multiple of this much event time; 0: "
          "none for that. One that is still being written is never overtaken."),
    RANGE("state", "keep", INT, FIELD(state_keep), "3", 1, 1000,
          "How many checkpoints are kept: the newest is gone on from, an older one where that is "
          "damaged."),
    CHOICE("state", "lost", FIELD(state_lost), "rewind", "rewind|restart",
           "When there is no checkpoint, but the snapshot topic has snapshots of this run: "
           "`rewind` goes on from the newest of them and reads again what the join needs; "
           "`restart` begins with the first record."),
    CHOICE("state", "gap", FIELD(state_gap), "stop", "stop|continue",
           "When records that come next are no longer in the log: `stop` ends with a line that "
           "tells the gap, `continue` goes on behind it and counts it."),

    RANGE(
        "join", "click_window", SPAN, FIELD(click_window_us), "1h", 0, 90.0 * 86400e6,
        "How long after its impression a click counts. Every impression waits this long before it "
        "is learned, so that positives and negatives wait alike."),
    RANGE("join", "install_window", SPAN, FIELD(install_window_us), "7d", 0, 90.0 * 86400e6,
          "How long after the click an install counts."),
    RANGE("join", "skew", SPAN, FIELD(skew_us), "1h", 1e6, 90.0 * 86400e6,
          "A partition further ahead in event time than this of the one furthest behind is paused, "
          "which bounds what the join must hold."),
    RANGE("join", "idle_after", SPAN, FIELD(idle_after_us), "30s", 1e5, 86400e6,
          "With --follow, a partition that is read to its end and silent for this long no longer "
          "holds back the others."),
    RANGE("join", "idle_lag", SPAN, FIELD(idle_lag_us), "0", 0, 86400e6,
          "How far behind the others an idle partition is taken to stand. Less than `skew`."),

    RANGE("join", "memory", SIZE, FIELD(join_memory), "32GiB", 48.0 * 1048576, 32.0 * 1073741824,
          "The most memory that the join takes. Past it, records that wait for their labels are "
          "paged to `segments` in [state] folder: the labels are the same, the join is slower "
          "(docs/join.md). Its index cannot be paged, about 25 bytes an impression. Records of "
          "more than 32 GiB, on files included, end the run with a line that says so."),

    ROW("time", "min", TIME, FIELD(time_min_us), "2000-01-01",
        "Event times before this are refused: dead letter."),
    ROW("time", "max", TIME, FIELD(time_max_us), "2100-01-01",
        "Event times after this are refused: dead letter."),
    RANGE("time", "future", SPAN, FIELD(future_us), "5m", 0, 1e18,
          "An event more than this after its own Kafka record's timestamp has a wrong clock: dead "
          "letter."),
    RANGE("time", "ahead", SPAN, FIELD(ahead_us), "30d", 1e6, 1e18,
          "Where records carry no timestamp (files): an event more than this beyond its partition "
          "is held until two more agree with it, else it is a dead letter."),

    CHOICE("input", "at_end", FIELD(at_end), "auto", "hold|close|auto",
           "When every input has ended: `close` ends time, so that all labels are final and "
           "learned; `hold` leaves what is not mature pending, for a later run to go on from; "
           "`auto` holds where there are checkpoints, and closes elsewhere."),
    RANGE("input", "look_for_partitions", SPAN, FIELD(look_every_us), "30s", 1e5, 86400e6,
          "With --follow: how often the log is asked for partitions that were added. They are read "
          "from their first record."),
    RANGE("input", "max_record_bytes", SIZE, FIELD(max_record_bytes), "1MiB", 64, 1e9,
          "Larger records are dead letters."),
    RANGE("input", "max_dead_share", REAL, FIELD(max_dead_share), "0.1", 0, 1,
          "The run stops when more than this share of a topic's records cannot be used, after "
          "1,000 of "
          "them, or at the end of an input of at least 20; 1: never."),

    RANGE("sample", "holdout", REAL, FIELD(holdout), "0.01", 0, 0.99,
          "Share of impressions that are never trained on, to measure on."),
    ROW("sample", "holdout_key", TEXT, FIELD(holdout_key), NULL,
        "The field whose hash decides on the holdout; default: the impression's id. A user id "
        "measures on users that were never seen, and hides the drift of user features."),
    ROW("sample", "holdout_seed", INT, FIELD(holdout_seed), "1", "Seed of the holdout's hash."),
    RANGE("sample", "negatives", REAL, FIELD(negatives), "1", 1e-6, 1,
          "Share of unclicked impressions kept (r); the others are never decoded."),
    ROW("sample", "seed", INT, FIELD(negative_seed), "2", "Seed of the negatives' hash."),
    ROW("sample", "weight_field", TEXT, FIELD(weight_field), NULL,
        "A field with the weight, from 1e-6 to 1e6, that an impression carries because it was "
        "sampled "
        "upstream."),
    CHOICE("sample", "correction", FIELD(correction), "weight", "weight|offset",
           "How learning makes up for `negatives`: kept negatives weigh 1/r, or the click logit is "
           "shifted by ln r (less variance). A direct install head always takes weights."),

    ROW("features", "categorical", LIST, FIELD(categorical), NULL,
        "Fields whose values are looked up as they are: any scalar, or arrays, whose items' rows "
        "are summed. Nested: `app.bundle`; a map's key: `tags.color`."),
    ROW("features", "numeric", LIST, FIELD(numeric), NULL,
        "Numbers, standardised by their running mean and deviation."),
    ROW("features", "numeric_log", LIST, FIELD(numeric_log), NULL,
        "Numbers, standardised after sign(x) log(1 + |x|)."),
    ROW("features", "buckets", LIST, FIELD(buckets), NULL,
        "Numbers, cut into buckets of about equal counts."),
    ROW("features", "buckets_log", LIST, FIELD(buckets_log), NULL,
        "As `buckets`, after sign(x) log(1 + |x|)."),
    RANGE("features", "n_buckets", INT, FIELD(n_buckets), "32", 2, 4096,
          "How many buckets each of those has."),
    ROW("features", "cross", LIST, FIELD(crosses), NULL,
        "Pairs of categorical or bucketised features whose combination is a feature: "
        "`advertiser_id x device.os`."),

    CHOICE("model *", "setup", MODEL(setup), "ipsp", "ip|esmm|esmm-ns|essp-split|ipsp|esp|ctr",
           "Which heads there are, what they share and what they learn: see docs/model.md."),
    RANGE("model *", "width", INT, MODEL(width), "16", 1, 256,
          "Numbers in an embedding row, a feature."),
    ROW("model *", "layers", LIST, MODEL(layers), "128, 64",
        "Widths of the layers after the embeddings."),
    ROW("model *", "head_layers", LIST, MODEL(head_layers), "32",
        "Widths of each head's hidden layers."),
    RANGE("model *", "batch", INT, MODEL(batch), "256", 1, 65536, "Examples a step."),
    RANGE(
        "model *", "slice", INT, MODEL(slice), "128", 16, 1024,
        "Rows computed at a time, a multiple of 8; affects speed and the last bits, nothing else."),
    ROW("model *", "seed", INT, MODEL(seed), "1", "Seed of the initial weights."),
    RANGE("model *", "init", REAL, MODEL(init), "0.05", 0, 10,
          "Standard deviation of a new embedding row."),
    RANGE("model *", "admit_after", INT, MODEL(admit_after), "1", 1, 1000000,
          "A value gets a row of its own after this many training examples; before, it reads and "
          "trains its feature's default row."),
    RANGE("model *", "table_memory", SIZE, MODEL(table_memory), "1GiB", 65536, 1e15,
          "Memory of the embedding tables, optimizer slots included. When it is full, rows that "
          "were not trained for longest leave."),
    OPTIMIZER_ROWS("dense", dense, "0.02", "1e-6", "layers and heads"),
    OPTIMIZER_ROWS("sparse", sparse, "0.2", "0.1", "embedding rows"),
    CHOICE("model *", "sparse_accumulator", MODEL(sparse.accumulator), "coordinate",
           "coordinate|row",
           "Adagrad: one accumulator a number, or one a row (less memory, learns slower)."),

    RANGE(
        "metrics", "window", SPAN, FIELD(metric_window_us), "1h", 1e6, 90.0 * 86400e6,
        "Progressive metrics are also kept by windows of impression time this long. Where drift is "
        "measured, `drift.window` takes the default's place, so that both are side by side."),
    RANGE("metrics", "windows_kept", INT, FIELD(metric_windows_kept), "1000", 1, 1000000,
          "How many finished windows the summary tells of."),

    RANGE("snapshot", "every", SPAN, FIELD(snapshot_every_us), "1h", 0, 90.0 * 86400e6,
          "A snapshot of every model's weights is taken at each multiple of this in event time; it "
          "holds what was due before. 0: none, and no drift either."),
    ROW("snapshot", "topic", TEXT, FIELD(snapshot_topic), "espalier.snapshots",
        "The topic that snapshots are published to, or the folder below `files.root`, where each "
        "is a file. A topic needs two partitions and `cleanup.policy = compact`: `check` verifies "
        "it."),
    RANGE("snapshot", "keep", INT, FIELD(snapshot_keep), "3", 2, 1000,
          "How many snapshots of a model stay there; older ones are retired."),
    CHOICE("snapshot", "rows", FIELD(snapshot_rows), "f32", "f32|bf16",
           "The type of embedding rows in snapshots. bf16 is half as large, and NumPy cannot read "
           "it; drift then measures the rounded weights."),
    ROW("snapshot", "resume", BOOL, FIELD(snapshot_resume), "off",
        "on: snapshots also hold the optimizers' state, so that a trainer that has lost its state "
        "folder learns on from one to the bit. With the default optimizer they are nearly twice "
        "as large. Not with `rows = bf16`."),

    ROW("drift", "enabled", BOOL, FIELD(drift_enabled), "on",
        "on: the holdout is scored by snapshots of several ages, and how the loss grows with age "
        "is written to the drift topic. Needs a holdout and snapshots."),
    ROW("drift", "topic", TEXT, FIELD(drift_topic), "espalier.drift",
        "The topic, or the folder below `files.root`, of drift records; `espalier drift` reads "
        "it."),
    RANGE("drift", "window", SPAN, FIELD(drift_window_us), "1h", 1e6, 90.0 * 86400e6,
          "Windows of impression time that are measured; a multiple of `snapshot.every`."),
    ROW("drift", "ages", LIST, FIELD(drift_ages), "0, 1, 2, 4, 8, 16, 24, 48, 96, 168",
        "Ages of the model that are measured, in windows between the snapshot's boundary and the "
        "window's start. The first is 0; the others are compared to it."),
    RANGE("drift", "sparse_from", INT, FIELD(drift_sparse_from), "16", 1, 100000,
          "Ages from this up are measured at every `sparse`-th window alone."),
    RANGE("drift", "sparse", INT, FIELD(drift_sparse), "8", 1, 100000,
          "How many windows apart these are. Of the old snapshots only every `sparse`-th is kept; "
          "1: all."),
    RANGE(
        "drift", "window_examples", INT, FIELD(drift_window_examples), "16384", 2, 100000000,
        "Most holdout examples that a window keeps; of more a share is measured, chosen by hash. "
        "A window that waits for installs takes some 30 bytes an example, and 4 a model and age."),
    ROW("drift", "cluster", TEXT, FIELD(drift_cluster), NULL,
        "A field whose equal values belong together (a user): intervals take them as one. Default: "
        "`sample.holdout_key`, else each impression by itself."),
    ROW("drift", "production_click", TEXT, FIELD(production[ESP_TASK_CLICK]), NULL,
        "A field with the probability of a click that another model, the one in production, gave "
        "the impression: it is measured beside ours, on the same examples."),
    ROW("drift", "production_install_given_click", TEXT,
        FIELD(production[ESP_TASK_INSTALL_GIVEN_CLICK]), NULL,
        "The same for an install once clicked."),
    ROW("drift", "production_install", TEXT, FIELD(production[ESP_TASK_INSTALL]), NULL,
        "The same for a click and an install."),

    ROW("output", "examples", BOOL, FIELD(write_examples), "off",
        "on: every example that survives sampling is also written, with the impression's record."),
    ROW("output", "examples_topic", TEXT, FIELD(examples_topic), "espalier.examples", "Where to."),
    ROW("output", "late_topic", TEXT, FIELD(late_topic), "espalier.late",
        "Events that came too late, with topic, partition and offset."),
    ROW("output", "dead_letter_topic", TEXT, FIELD(dead_letter_topic), "espalier.dead-letter",
        "Records that cannot be used, with the reason, topic, partition and offset."),
    RANGE("output", "partitions", INT, FIELD(output_partitions), "1", 1, 4096,
          "Partitions of outputs that are folders, and of topics that `check --create-topics` "
          "makes."),
    ROW("output", "faults", TEXT, FIELD(fault_folder), ".",
        "The folder that gets the batch whose gradient was not finite."),

    ROW("serve", "listen", TEXT, FIELD(serve_listen), "127.0.0.1",
        "The address, IPv4 or IPv6, that metrics, health and a page for people are served on. "
        "Whoever reaches it may read them: there is no password and no encryption."),
    RANGE("serve", "port", INT, FIELD(serve_port), "0", 0, 65535,
          "The port; 0: nothing is served."),
    RANGE("serve", "stall_after", SPAN, FIELD(serve_stall_after_us), "5m", 1e6, 86400e6,
          "`/healthz` turns to 503 when a thread of the run has not gone round its loop for this "
          "long without an excuse."),
    ROW("serve", "dashboard", TEXT, FIELD(serve_dashboard), NULL,
        "An HTML file that is served as `/dashboard`, read anew for each request: the place for a "
        "page that another program writes."),

    ROW("score", "topic", TEXT, FIELD(score_topic), "espalier.scores",
        "Where `espalier score` writes: a record an impression and model."),
    ROW("score", "models", LIST, FIELD(score_models), NULL,
        "The models that it scores with, by name: it waits for a snapshot of each. Default: all "
        "that there are snapshots of."),
    CHOICE("score", "from", FIELD(score_from), "earliest", "earliest|latest",
           "Where it begins in a partition that it has not scored before; later runs go on where "
           "the last one ended."),

    RANGE("run", "threads", INT, FIELD(threads), "0", 0, 256,
          "Threads that compute a batch; reading and joining have one of their own. 0: one less "
          "than the machine has cores. The results are the same for any number."),
};
const size_t n_option_rows = sizeof option_table / sizeof option_table[0];
