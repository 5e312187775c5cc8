/*
 * train_pages_test.c - what a run's pages say, with the run's status filled in by hand: every
 * family gets its figure, under its labels, and health and readiness follow the threads.
 */
#include "cmd/train/train_pages.h"

#include "core/timespan.h"
#include "testkit.h"

#define BASE                 \
    "[files]\nroot = data\n" \
    "[features]\ncategorical = advertiser_id\n"

static struct config config;
static struct run run;
static struct train_pages pages;

static void begin(const char *text)
{
    char *folder = test_folder_new();
    char *path = g_build_filename(folder, "t.ini", NULL);
    struct esp_error err = {0};
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    config_load(&config, path, NULL, 0, NULL, NULL, &err);
    g_assert_cmpstr(err.text, ==, "");
    run_init(&run, &config, &err);
    train_pages_start(&pages, &run, &err);
    g_assert_cmpstr(err.text, ==, "");
    g_free(path);
    test_folder_remove(folder);
    config.path = "<t>.ini";
}

static void end(void)
{
    train_pages_stop(&pages);
    run_release(&run);
    config_release(&config);
}

/* The page's body; the caller frees it. */
static char *render(const char *path, unsigned *code)
{
    struct esp_buf out;
    struct esp_error err = {0};
    *code = 200;
    esp_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < pages.n_pages; i++) {
        if (strcmp(pages.pages[i].path, path) == 0)
            pages.pages[i].render(pages.pages[i].context, &out, code, &err);
    }
    g_assert_cmpstr(err.text, ==, "");
    char *text = g_strndup((const char *)out.data, out.size);
    esp_buf_release(&out);
    return text;
}

static void assert_page(const char *path, unsigned want_code, const char *want)
{
    unsigned code;
    char *text = render(path, &code);
    g_assert_cmpuint(code, ==, want_code);
    g_assert_cmpstr(text, ==, want);
    g_free(text);
}

/* A line of its own. */
static bool has_line(const char *text, const char *line)
{
    size_t n = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++) {
        if ((at == text || at[-1] == '\n') && at[n] == '\n')
            return true;
    }
    return false;
}

/* ---- metrics --------------------------------------------------------------------------------- */

/* Every figure is another number, so that none can stand in another's place. */
static void fill_in(void)
{
    struct ingest_status *ingest = &run.ingest;
    ingest->counters[ESP_IMPRESSION] = (struct esp_join_counters){.read = 115,
                                                                  .labelled = 11,
                                                                  .duplicate = 12,
                                                                  .unmatched = 0,
                                                                  .late = 14,
                                                                  .dead = 15,
                                                                  .pending = 63,
                                                                  .behind_idle = 16};
    ingest->counters[ESP_IMPRESSION].dead_by_reason[ESP_REJECT_NO_ID] = 9;
    ingest->counters[ESP_IMPRESSION].dead_by_reason[ESP_REJECT_FUTURE] = 6;
    ingest->counters[ESP_CLICK] = (struct esp_join_counters){.read = 135,
                                                             .labelled = 21,
                                                             .duplicate = 22,
                                                             .unmatched = 23,
                                                             .late = 24,
                                                             .dead = 25,
                                                             .pending = 20};
    ingest->counters[ESP_INSTALL] = (struct esp_join_counters){.read = 195,
                                                               .labelled = 31,
                                                               .duplicate = 32,
                                                               .unmatched = 33,
                                                               .late = 34,
                                                               .dead = 35,
                                                               .pending = 30};
    ingest->bytes = 41;
    ingest->damaged_files = 42;
    ingest->skipped_bytes = 43;
    ingest->usage = (struct esp_joiner_usage){44, 45, 46, 47, 148, 149, 150, 151};
    ingest->n_idle = 48;
    ingest->n_paused = 49;
    ingest->labels[0] = 251;
    ingest->labels[1] = 52;
    ingest->labels[2] = 53;
    ingest->kept = 161;
    ingest->holdout = 60;
    ingest->sampled_out = 90;
    ingest->watermark_us = INT64_C(1714566000250000);
    run.learn.examples = 71;
    run.learn.examples_written = 72;
    run.learn.models[0] = (struct esp_learner_report){
        .has_task = {true, false, true},
        .total = {{.examples = 81,
                   .positives = 82,
                   .log_loss = {true, false, 0.83, 0, 0},
                   .normalised_entropy = {true, false, 0.84, 0, 0},
                   .calibration = {true, false, 0.85, 0, 0},
                   .roc_auc = {true, false, 0.86, 0, 0},
                   .pr_auc = {true, false, 0.87, 0, 0}}},
        .window = {{.examples = 88, .log_loss = {true, true, 0.89, 0.5, 0.9}}},
        .holdout = {{0}, {0}, {.examples = 91, .roc_auc = {true, false, 0.92, 0, 0}}},
        .window_start_us = {INT64_C(1714561200000000), ESP_TIME_NONE, ESP_TIME_NONE},
        .examples_learned = 101,
        .steps = 102,
        .dense_clipped = 103,
        .rows_clipped = 104,
        .rows = 105,
        .rows_admitted = 106,
        .rows_evicted = 107,
        .waiting = 108,
        .table_bytes = 109,
    };
    run.learn.models[1].steps = 110;
    run.learn.snapshots[0] = (struct snapshot_status){.n_taken = 121,
                                                      .n_bytes = 122,
                                                      .newest_us = 1714564800 * ESP_SECOND,
                                                      .n_published = 123,
                                                      .n_outdated = 124,
                                                      .n_refused = 125,
                                                      .n_given_up = 126};
    run.learn.drift = (struct esp_drift_usage){
        .windows = 131, .examples = 132, .memory_bytes = 133, .scored = 134, .thinned = 135};
    run.learn.drift_records = 136;
}

static const char *const metric_lines[] = {
    "espalier_events_read_total{topic_kind=\"impression\"} 115",
    "espalier_events_read_total{topic_kind=\"install\"} 195",
    "espalier_events_total{topic_kind=\"impression\",fate=\"labelled\"} 11",
    "espalier_events_total{topic_kind=\"impression\",fate=\"duplicate\"} 12",
    "espalier_events_total{topic_kind=\"click\",fate=\"unmatched\"} 23",
    "espalier_events_total{topic_kind=\"click\",fate=\"late\"} 24",
    "espalier_events_total{topic_kind=\"install\",fate=\"dead\"} 35",
    "espalier_events_pending{topic_kind=\"impression\"} 63",
    "espalier_events_behind_idle_total{topic_kind=\"impression\"} 16",
    "espalier_dead_letters_total{topic_kind=\"impression\",reason=\"no id\"} 9",
    ("espalier_dead_letters_total{topic_kind=\"impression\",reason=\"event time beyond the "
     "record's "
     "timestamp\"} 6"),
    "espalier_dead_letters_total{topic_kind=\"click\",reason=\"no id\"} 0",
    "espalier_read_bytes_total 41",
    "espalier_damaged_files_total 42",
    "espalier_skipped_bytes_total 43",
    "espalier_watermark_timestamp_seconds 1714566000.25",
    "espalier_join_pending_impressions 44",
    "espalier_join_waiting_events 45",
    "espalier_join_record_bytes 46",
    "espalier_join_memory_bytes 47",
    "espalier_join_paged_bytes 148",
    "espalier_join_paged_out_bytes_total 149",
    "espalier_join_paging_failures_total 151",
    "espalier_input_partitions{state=\"idle\"} 48",
    "espalier_input_partitions{state=\"paused\"} 49",
    "espalier_labels_total{stage=\"click\"} 251",
    "espalier_labels_total{stage=\"install\"} 52",
    "espalier_labels_total{stage=\"whole\"} 53",
    "espalier_impressions_total{sample=\"training\"} 101",
    "espalier_impressions_total{sample=\"holdout\"} 60",
    "espalier_impressions_total{sample=\"sampled_out\"} 90",
    "espalier_examples_total 71",
    "espalier_examples_written_total 72",
    "espalier_model_info{model=\"fast\",setup=\"ip\"} 1",
    "espalier_model_info{model=\"b\",setup=\"ipsp\"} 1",
    "espalier_model_scored_examples{model=\"fast\",task=\"click\",over=\"total\"} 81",
    "espalier_model_scored_positives{model=\"fast\",task=\"click\",over=\"total\"} 82",
    "espalier_model_log_loss_nats{model=\"fast\",task=\"click\",over=\"total\"} 0.83",
    "espalier_model_normalised_entropy_ratio{model=\"fast\",task=\"click\",over=\"total\"} 0.84",
    "espalier_model_calibration_ratio{model=\"fast\",task=\"click\",over=\"total\"} 0.85",
    "espalier_model_roc_auc_ratio{model=\"fast\",task=\"click\",over=\"total\"} 0.86",
    "espalier_model_pr_auc_ratio{model=\"fast\",task=\"click\",over=\"total\"} 0.87",
    "espalier_model_scored_examples{model=\"fast\",task=\"click\",over=\"last_window\"} 88",
    "espalier_model_log_loss_nats{model=\"fast\",task=\"click\",over=\"last_window\"} 0.89",
    "espalier_model_scored_examples{model=\"fast\",task=\"install\",over=\"holdout\"} 91",
    "espalier_model_roc_auc_ratio{model=\"fast\",task=\"install\",over=\"holdout\"} 0.92",
    "espalier_model_window_start_timestamp_seconds{model=\"fast\",task=\"click\"} 1714561200",
    "espalier_model_examples_learned_total{model=\"fast\"} 101",
    "espalier_model_steps_total{model=\"fast\"} 102",
    "espalier_model_dense_steps_clipped_total{model=\"fast\"} 103",
    "espalier_model_row_steps_clipped_total{model=\"fast\"} 104",
    "espalier_model_rows{model=\"fast\"} 105",
    "espalier_model_rows_admitted_total{model=\"fast\"} 106",
    "espalier_model_rows_evicted_total{model=\"fast\"} 107",
    "espalier_model_predictions_waiting{model=\"fast\"} 108",
    "espalier_model_table_bytes{model=\"fast\"} 109",
    "espalier_model_steps_total{model=\"b\"} 110",
    "espalier_snapshots_taken_total{model=\"fast\"} 121",
    "espalier_snapshot_bytes_total{model=\"fast\"} 122",
    "espalier_snapshots_total{model=\"fast\",fate=\"published\"} 123",
    "espalier_snapshots_total{model=\"fast\",fate=\"outdated\"} 124",
    "espalier_snapshots_total{model=\"fast\",fate=\"refused\"} 125",
    "espalier_snapshots_total{model=\"fast\",fate=\"given_up\"} 126",
    "espalier_snapshot_boundary_timestamp_seconds{model=\"fast\"} 1714564800",
    "espalier_drift_windows_waiting 131",
    "espalier_drift_examples_waiting 132",
    "espalier_drift_memory_bytes 133",
    "espalier_drift_examples_scored_total 134",
    "espalier_drift_examples_thinned_total 135",
    "espalier_drift_records_total 136",
    "espalier_ready 0",
    "espalier_thread_silence_seconds{thread=\"ingest\"} 0",
    "espalier_http_answers_total{code=\"404\"} 0",
};

/* What is undefined, or not there, has no sample. */
static const char *const absent[] = {
    "task=\"install_given_click\"",
    "model=\"b\",task",
    "espalier_model_log_loss_nats{model=\"fast\",task=\"install\"",
    "espalier_model_window_start_timestamp_seconds{model=\"fast\",task=\"install\"",
    "espalier_model_roc_auc_ratio{model=\"fast\",task=\"click\",over=\"last_window\"",
    "espalier_snapshot_boundary_timestamp_seconds{model=\"b\"",
    "reason=\"none\"",
    "nan",
};

static void test_metrics(void)
{
    begin(BASE "[model fast]\nsetup = ip\n[model b]\n");
    fill_in();
    unsigned code;
    char *text = render("/metrics", &code);
    for (size_t i = 0; i < G_N_ELEMENTS(metric_lines); i++) {
        if (!has_line(text, metric_lines[i]))
            g_test_fail_printf("no such line: %s", metric_lines[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        if (strstr(text, absent[i]) != NULL)
            g_test_fail_printf("should not be there: %s", absent[i]);
    }
    g_free(text);
    end();
}

static void test_no_installs(void)
{
    begin(BASE "[installs]\nenabled = off\n[model]\nsetup = ctr\n");
    unsigned code;
    char *text = render("/metrics", &code);
    g_assert_nonnull(strstr(text, "topic_kind=\"click\""));
    g_assert_null(strstr(text, "topic_kind=\"install\""));
    g_free(text);
    end();
}

static void test_watermark(void)
{
    static const int64_t no_times[] = {ESP_TIME_NONE, ESP_TIME_END};
    begin(BASE);
    unsigned code;
    for (size_t i = 0; i < G_N_ELEMENTS(no_times); i++) {
        run.ingest.watermark_us = no_times[i];
        char *text = render("/metrics", &code);
        g_assert_null(strstr(text, "\nespalier_watermark_timestamp_seconds "));
        g_assert_null(strstr(text, "\nespalier_watermark_lag_seconds "));
        g_free(text);
    }
    run.ingest.watermark_us = g_get_real_time() - 100 * ESP_SECOND;
    char *text = render("/metrics", &code);
    const char *at = strstr(text, "\nespalier_watermark_lag_seconds ");
    double lag_s = at == NULL ? -1 : g_ascii_strtod(strchr(at, ' '), NULL);
    g_assert_cmpfloat(lag_s, >=, 100);
    g_assert_cmpfloat(lag_s, <, 1000);
    g_free(text);
    end();
}

/* ---- health and readiness -------------------------------------------------------------------- */

static void test_health(void)
{
    begin(BASE "[serve]\nstall_after = 10s\n");
    assert_page("/healthz", 200, "ok\n"); /* nothing has started */
    int64_t now_us = run_clock_us(), long_ago_us = now_us - 25 * ESP_SECOND;
    run_beat(&run, RUN_INGEST);
    pulse_beat(&run.pulses[RUN_LEARNING], now_us - ESP_SECOND);
    assert_page("/healthz", 200, "ok\n");
    pulse_beat(&run.pulses[RUN_LEARNING], MAX(long_ago_us, 0));
    unsigned code;
    char *text = render("/healthz", &code);
    g_assert_cmpuint(code, ==, 503);
    g_assert_true(g_str_has_prefix(text, "the learning thread has not gone round for 2"));
    g_assert_nonnull(strstr(text, " s (serve.stall_after = 10s)\n"));
    g_free(text);
    run_waits(&run, RUN_LEARNING);
    assert_page("/healthz", 200, "ok\n");
    end();
}

static void test_readiness(void)
{
    static const char starting[] =
        "starting: waits for first records, or to hear that there are none\n";
    begin(BASE);
    assert_page("/readyz", 503, starting);
    run_threads_start(&run, 1);
    assert_page("/readyz", 503, starting);
    run.ingest.is_ready = true;
    assert_page("/readyz", 200, "ready\n");
    run_thread_ended(&run);
    assert_page("/readyz", 503, "stopping\n");
    run_threads_start(&run, 1);
    run_fail(&run, &(struct esp_error){ESP_EIO, "disk is full"});
    assert_page("/readyz", 503, "stopping\n");
    end();
}

static void test_index(void)
{
    begin(BASE "[model fast]\n[model slow]\n");
    fill_in();
    run.ingest.is_ready = true;
    run.n_running = 2;
    unsigned code;
    char *text = render("/", &code);
    static const char *const parts[] = {
        "<td>&lt;t&gt;.ini</td>",
        "<th scope=\"row\">state</th><td>ready</td>",
        "<td>2024-05-01T12:20:00.25Z, ",
        "<td>445 read, 72 late, 75 dead; 44 impressions pending</td>",
        ("<th scope=\"row\">fast</th><td>102 steps, 105 rows; NE of click 0.8400; NE of install "
         "-</td>"),
        "<th scope=\"row\">slow</th><td>110 steps, 0 rows</td>",
        "<a href=\"/metrics\">",
        "<a href=\"/healthz\">",
        "<a href=\"/readyz\">",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (strstr(text, parts[i]) == NULL)
            g_test_fail_printf("\"%s\" is missing in %s", parts[i], text);
    }
    g_free(text);
    end();
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/train_pages/every figure of a run is a metric", test_metrics);
    g_test_add_func("/train_pages/an input that is not read has none", test_no_installs);
    g_test_add_func("/train_pages/a watermark that is no time is absent", test_watermark);
    g_test_add_func("/train_pages/a thread that stalls is ill, one that waits is not", test_health);
    g_test_add_func("/train_pages/ready is from the first input to the stop", test_readiness);
    g_test_add_func("/train_pages/the index says how it goes and links the rest", test_index);
    return g_test_run();
}
