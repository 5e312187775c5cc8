/* pooled_test.c - which windows a curve takes, and that pooled figures are those of the sums. */
#include "drift/pooled.h"

#include <math.h>

#include "core/timespan.h"
#include "drift/record_sums.h"
#include "testkit.h"

static const int64_t monday_us = INT64_C(1767571200) * ESP_SECOND; /* 2026-01-05T00:00:00Z */

/* A list of records that grows. */
static GArray *list_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct esp_drift_record));
}

/* 100 examples of weight 1, 40 positive, with this mean loss; a drift of `drift` at ages above 0.
 */
static struct esp_drift_record plain(int64_t hour, int32_t age, double loss)
{
    struct esp_drift_record record = {
        .run = esp_bytes_of("0123456789abcdef"),
        .model = esp_bytes_of("main"),
        .setup = esp_bytes_of("ipsp"),
        .kind = ESP_DRIFT_HOLDOUT,
        .window_start_us = monday_us + hour * ESP_HOUR,
        .window_end_us = monday_us + (hour + 1) * ESP_HOUR,
        .age = age,
        .snapshot = hour - age,
        .examples = 100,
        .positives = 40,
        .clusters = 100,
        .share = 1,
        .sums = {.w = 100,
                 .l = 100 * loss,
                 .p = 40,
                 .y = 40,
                 .ww = 100,
                 .wl = 100 * loss,
                 .ll = 100 * loss * loss + 4,
                 .wp = 40,
                 .wy = 40,
                 .pp = 20,
                 .py = 18,
                 .yy = 40,
                 .lp = 20,
                 .ly = 20},
    };
    if (age > 0)
        record.paired = (struct esp_drift_paired){.is_set = true,
                                                  .examples = 100,
                                                  .positives = 40,
                                                  .clusters = 100,
                                                  .w = 100,
                                                  .d = age,
                                                  .dd = 1 + age * age / 100.0,
                                                  .dw = age,
                                                  .ww = 100};
    return record;
}

static void add(GArray *list, int64_t hour, int32_t age)
{
    struct esp_drift_record record = plain(hour, age, 0.5);
    g_array_append_val(list, record);
}

/* Records in an order that is not the report's. */
static struct esp_drift_report pool(GArray *list)
{
    struct test_random random = {7};
    struct esp_drift_record *records = (struct esp_drift_record *)(void *)list->data;
    for (size_t i = list->len; i > 1; i--) {
        size_t k = (size_t)test_random_below(&random, i);
        struct esp_drift_record kept = records[i - 1];
        records[i - 1] = records[k];
        records[k] = kept;
    }
    struct esp_drift_report report;
    struct esp_error err = {0};
    esp_drift_report_init(&report, records, list->len, &err);
    g_assert_cmpstr(err.text, ==, "");
    return report;
}

/* ---- which windows --------------------------------------------------------------------------- */

/* A row's records are ages x windows; `missing` hours lack the oldest age. */
static const struct choice {
    const char *name;
    int64_t first, n_hours;
    int32_t ages[5]; /* -1: no more */
    int32_t sparse_from, sparse;
    int64_t missing;
    size_t n_points, n_days, n_windows, n_older;
} choices[] = {
    {"two whole days of every age", 0, 48, {0, 1, 2, -1}, 99, 1, -1, 3, 2, 48, 0},
    {"a day that lacks one window is no whole day", 0, 48, {0, 1, -1}, 99, 1, 30, 2, 1, 24, 0},
    {"a day that is cut short is no whole day", 0, 40, {0, 1, -1}, 99, 1, -1, 2, 1, 24, 0},
    {"a day that begins late is no whole day", 5, 43, {0, 1, -1}, 99, 1, -1, 2, 1, 24, 0},
    {"old ages at every 8th window still make whole days",
     0,
     72,
     {0, 16, 24, -1},
     16,
     8,
     -1,
     3,
     3,
     9,
     0},
    {"an age without a whole day is left out", 0, 24, {0, 1, 2, -1}, 99, 1, 7, 2, 1, 24, 1},
    {"less than a day takes all windows with every age", 0, 6, {0, 1, 2, -1}, 99, 1, 3, 3, 0, 5, 0},
    {"one window is not a whole day", 0, 1, {0, 1, -1}, 99, 1, -1, 2, 0, 1, 0},
    {"age 0 alone has a curve of one point", 0, 30, {0, -1}, 99, 1, -1, 1, 1, 24, 0},
    {"without age 0 there is no curve", 0, 30, {1, 2, -1}, 99, 1, -1, 0, 0, 0, 0},
};

static void test_choice(const void *data)
{
    const struct choice *row = data;
    GArray *list = list_new();
    int32_t oldest = 0;
    for (size_t i = 0; row->ages[i] >= 0; i++)
        oldest = row->ages[i];
    for (int64_t hour = row->first; hour < row->first + row->n_hours; hour++) {
        for (size_t i = 0; row->ages[i] >= 0; i++) {
            int32_t age = row->ages[i];
            bool is_measured = age < row->sparse_from || hour % row->sparse == 0;
            if (is_measured && !(hour == row->missing && age == oldest))
                add(list, hour, age);
        }
    }
    struct esp_drift_report report = pool(list);
    g_assert_cmpuint(report.n_entries, ==, 1);
    const struct esp_drift_curve *curve = &report.entries[0].curve;
    g_assert_cmpuint(curve->n_points, ==, row->n_points);
    g_assert_cmpuint(curve->n_days, ==, row->n_days);
    g_assert_cmpuint(curve->n_older, ==, row->n_older);
    for (size_t i = 0; i < curve->n_points; i++) {
        g_assert_cmpuint(curve->points[i].pool.n_windows, ==, row->n_windows);
        g_assert_cmpint(curve->points[i].age, ==, row->ages[i]);
        g_assert_cmpint(curve->points[i].age_us, ==, row->ages[i] * ESP_HOUR);
    }
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

/* A window without a clicked impression has no records of installs after a click. */
static void test_empty_windows(void)
{
    for (int has_clicks = 0; has_clicks < 2; has_clicks++) {
        GArray *list = list_new();
        for (int64_t hour = 0; hour < 48; hour++) {
            for (int32_t age = 0; age < 2; age++) {
                struct esp_drift_record record = plain(hour, age, 0.5);
                if (has_clicks)
                    g_array_append_val(list, record);
                record.task = ESP_DRIFT_INSTALL_GIVEN_CLICK;
                bool is_empty = hour == 3 || hour == 4, lacks_age = hour == 30 && age == 1;
                if (!is_empty && !lacks_age)
                    g_array_append_val(list, record);
            }
        }
        struct esp_drift_report report = pool(list);
        const struct esp_drift_curve *curve = &report.entries[report.n_entries - 1].curve;
        g_assert_cmpuint(report.n_entries, ==, 1 + has_clicks);
        g_assert_cmpuint(curve->n_points, ==, 2);
        g_assert_cmpuint(curve->n_days, ==, has_clicks ? 1 : 0);
        g_assert_cmpuint(curve->points[1].pool.n_windows, ==, has_clicks ? 22 : 45);
        esp_drift_report_keep_task(&report, ESP_DRIFT_INSTALL_GIVEN_CLICK);
        g_assert_cmpuint(report.n_entries, ==, 1);
        g_assert_cmpuint(report.entries[0].curve.n_days, ==, has_clicks ? 1 : 0);
        g_assert_cmpint(report.start_us, ==, monday_us);
        g_assert_cmpint(report.end_us, ==, monday_us + 2 * ESP_DAY);
        esp_drift_report_release(&report);
        g_array_free(list, TRUE);
    }
}

/* ---- what is pooled -------------------------------------------------------------------------- */

/* The figures of added sums, which are not means of the windows' figures. */
static void test_pooled_figures(void)
{
    GArray *list = list_new();
    struct esp_drift_record one = plain(0, 0, 0.2), other = plain(1, 0, 0.6);
    other.examples = other.clusters = 900;
    other.positives = 45;
    other.share = 0.25;
    other.sums = (struct esp_drift_sums){.w = 900,
                                         .l = 540,
                                         .p = 90,
                                         .y = 45,
                                         .ww = 900,
                                         .wl = 540,
                                         .ll = 400,
                                         .wp = 90,
                                         .wy = 45,
                                         .pp = 20,
                                         .py = 10,
                                         .yy = 45,
                                         .lp = 60,
                                         .ly = 40};
    one.roc_auc = (struct esp_drift_figure){true, false, 0.6, 0, 0};
    g_array_append_val(list, one);
    g_array_append_val(list, other);
    struct esp_drift_report report = pool(list);
    const struct esp_drift_pool *pooled = &report.entries[0].common;
    struct esp_task_sums sums = esp_drift_record_sums(&one), more = esp_drift_record_sums(&other);
    esp_task_sums_merge(&sums, &more);
    struct esp_task_report want;
    esp_task_sums_report(&sums, &want);
    g_assert_cmpuint(pooled->figures.examples, ==, 1000);
    g_assert_cmpuint(pooled->figures.positives, ==, 85);
    assert_close(pooled->figures.log_loss.value, (20 + 540) / 1000.0, 1e-14, 0);
    assert_close(pooled->figures.calibration.value, 130 / 85.0, 1e-14, 0);
    double rate = 0.085, entropy = -(rate * log(rate) + (1 - rate) * log(1 - rate));
    assert_close(pooled->figures.normalised_entropy.value, 0.56 / entropy, 1e-12, 0);
    assert_close(pooled->figures.log_loss.low, want.log_loss.low, 1e-12, 0);
    assert_close(pooled->figures.calibration.high, want.calibration.high, 1e-12, 0);
    assert_close(pooled->figures.roc_auc.value, 0.6, 0, 0); /* of the one window that has it */
    g_assert_false(pooled->figures.roc_auc.has_interval);
    g_assert_false(pooled->figures.pr_auc.defined);
    g_assert_false(pooled->drift_loss.defined);
    assert_close(pooled->least_share, 0.25, 0, 0);
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

/* Ages are paired: their drift is the paired sums', whatever the losses are. */
static void test_drift_loss(void)
{
    GArray *list = list_new();
    for (int64_t hour = 0; hour < 24; hour++) {
        add(list, hour, 0);
        add(list, hour, 24);
        add(list, hour, 48);
    }
    struct esp_drift_report report = pool(list);
    const struct esp_drift_curve *curve = &report.entries[0].curve;
    g_assert_cmpuint(curve->n_points, ==, 3);
    g_assert_false(curve->points[0].pool.drift_loss.defined);
    assert_close(curve->points[1].pool.drift_loss.value, 0.24, 1e-14, 0);
    assert_close(curve->points[2].pool.drift_loss.value, 0.48, 1e-14, 0);
    /* 24 windows: each unit's (D - m W)^2 add up to 1 a window */
    double half = 1.959963984540054 * sqrt(24 * 2400 / 2399.0) / 2400;
    assert_close(curve->points[1].pool.drift_loss.low, 0.24 - half, 1e-9, 0);
    assert_close(curve->points[1].pool.drift_loss.high, 0.24 + half, 1e-9, 0);
    g_assert_true(esp_drift_telling_point(curve) == &curve->points[1]);
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

static void test_telling_point(void)
{
    GArray *list = list_new();
    for (int64_t hour = 0; hour < 24; hour++) {
        add(list, hour, 0);
        add(list, hour, 48);
        add(list, hour, 96);
    }
    struct esp_drift_report report = pool(list);
    g_assert_cmpint(esp_drift_telling_point(&report.entries[0].curve)->age, ==, 48);
    esp_drift_report_release(&report);
    g_array_set_size(list, 0);
    add(list, 0, 0);
    report = pool(list);
    g_assert_null(esp_drift_telling_point(&report.entries[0].curve));
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

static void test_periods(void)
{
    GArray *list = list_new();
    for (int64_t hour = 22; hour < 26; hour++) {
        add(list, hour, 0);
        if (hour != 23)
            add(list, hour, 2);
    }
    struct esp_drift_record moving = plain(27, 0, 0.7);
    moving.kind = ESP_DRIFT_PROGRESSIVE;
    moving.age = ESP_DRIFT_NO_AGE;
    g_array_append_val(list, moving);
    struct esp_drift_report report = pool(list);
    const struct esp_drift_entry *entry = &report.entries[0];
    g_assert_cmpuint(entry->n_ages, ==, 2);
    g_assert_cmpuint(entry->windows.n, ==, 5);
    g_assert_cmpuint(entry->days.n, ==, 2);
    const struct esp_drift_period *day = entry->days.periods;
    g_assert_cmpint(day[0].start_us, ==, monday_us);
    g_assert_cmpint(day[1].end_us, ==, monday_us + 2 * ESP_DAY);
    g_assert_cmpuint(day[0].fresh.n_windows, ==, 2);
    g_assert_cmpuint(day[1].fresh.n_windows, ==, 2);
    g_assert_cmpuint(day[0].progressive.n_windows, ==, 0);
    g_assert_cmpuint(day[1].progressive.n_windows, ==, 1);
    assert_close(day[1].progressive.figures.log_loss.value, 0.7, 1e-14, 0);
    assert_close(day[0].drift_loss[1].value, 0.02, 1e-14, 0);
    g_assert_false(day[0].drift_loss[0].defined);
    const struct esp_drift_period *window = entry->windows.periods;
    g_assert_false(window[1].drift_loss[1].defined); /* hour 23 has no age 2 */
    g_assert_true(window[2].drift_loss[1].defined);
    g_assert_cmpuint(window[4].fresh.n_windows, ==, 0);
    g_assert_cmpint(report.start_us, ==, monday_us + 22 * ESP_HOUR);
    g_assert_cmpint(report.end_us, ==, monday_us + 28 * ESP_HOUR);
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

/* ---- side by side ---------------------------------------------------------------------------- */

static void add_model(GArray *list, const char *model, int64_t from, int64_t to, double loss)
{
    for (int64_t hour = from; hour < to; hour++) {
        struct esp_drift_record record = plain(hour, 0, loss);
        record.model = esp_bytes_of(model);
        g_array_append_val(list, record);
    }
}

static void test_common_windows(void)
{
    GArray *list = list_new();
    add_model(list, "b", 0, 10, 0.5);
    add_model(list, "a", 4, 12, 0.6);
    struct esp_drift_record carried = plain(5, 0, 0.9);
    carried.kind = ESP_DRIFT_PRODUCTION;
    carried.age = ESP_DRIFT_NO_AGE;
    carried.model = esp_bytes_of("a"); /* after the models, whatever its name */
    g_array_append_val(list, carried);
    struct esp_drift_report report = pool(list);
    g_assert_cmpuint(report.n_entries, ==, 3);
    g_assert_true(report.is_common[ESP_DRIFT_CLICK]);
    g_assert_cmpuint(report.entries[0].common.n_windows, ==, 6);
    g_assert_cmpuint(report.entries[1].common.n_windows, ==, 6);
    assert_close(report.entries[0].common.figures.log_loss.value, 0.6, 1e-14, 0);
    g_assert_cmpint(report.entries[1].common.start_us, ==, monday_us + 4 * ESP_HOUR);
    g_assert_true(report.entries[2].is_production);
    g_assert_cmpuint(report.entries[2].common.n_windows, ==, 1);
    g_assert_cmpuint(report.entries[2].n_ages, ==, 0);
    esp_drift_report_release(&report);
    g_array_set_size(list, 0);
    add_model(list, "a", 0, 3, 0.5);
    add_model(list, "b", 3, 5, 0.5);
    report = pool(list);
    g_assert_false(report.is_common[ESP_DRIFT_CLICK]);
    g_assert_cmpuint(report.entries[0].common.n_windows, ==, 3);
    g_assert_cmpuint(report.entries[1].common.n_windows, ==, 2);
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

static void test_entries(void)
{
    GArray *list = list_new();
    struct esp_drift_record install = plain(0, 0, 0.5), run = plain(0, 0, 0.5),
                            length = plain(0, 0, 0.5);
    install.task = ESP_DRIFT_INSTALL;
    run.run = esp_bytes_of("1111111111111111");
    length.window_end_us += ESP_HOUR;
    g_array_append_val(list, install);
    g_array_append_val(list, run);
    g_array_append_val(list, length);
    add(list, 0, 0);
    struct esp_drift_report report = pool(list);
    g_assert_cmpuint(report.n_entries, ==, 4);
    g_assert_cmpint(report.entries[0].window_us, ==, ESP_HOUR);
    g_assert_cmpint(report.entries[1].window_us, ==, 2 * ESP_HOUR);
    g_assert_true(esp_bytes_equal(report.entries[2].run, run.run));
    g_assert_cmpint(report.entries[3].task, ==, ESP_DRIFT_INSTALL);
    esp_drift_report_release(&report);
    esp_drift_report_release(&report); /* an empty one is fine */
    g_assert_cmpint(esp_drift_report_init(&report, NULL, 0, NULL), ==, ESP_OK);
    g_assert_cmpuint(report.n_entries, ==, 0);
    esp_drift_report_release(&report);
    g_array_free(list, TRUE);
}

/* Sums come back from the record as they went in. */
static void test_record_sums(void)
{
    const struct esp_task_sums sums = {.n = 1,
                                       .n_positive = 2,
                                       .n_units = 3,
                                       .w = 4,
                                       .wl = 5,
                                       .wp = 6,
                                       .wy = 7,
                                       .ww = 8,
                                       .wwl = 9,
                                       .wwll = 10,
                                       .wwp = 11,
                                       .wwpp = 12,
                                       .wwy = 13,
                                       .wwyy = 14,
                                       .wwpy = 15,
                                       .wwly = 16,
                                       .wwlp = 17};
    const struct esp_paired_sums paired = {
        .n = 1, .n_positive = 2, .n_units = 3, .w = 4, .d = 5, .ww = 6, .wd = 7, .dd = 8};
    struct esp_drift_record record = {0};
    esp_drift_record_set_sums(&record, &sums);
    struct esp_task_sums back = esp_drift_record_sums(&record);
    g_assert_cmpmem(&back, sizeof back, &sums, sizeof sums);
    g_assert_true(record.sums.lp == 17 && record.sums.yy == 14 && record.sums.ly == 16);
    struct esp_drift_paired block = esp_drift_paired_of(&paired, 9);
    struct esp_paired_sums again = esp_drift_paired_sums(&block);
    g_assert_cmpmem(&again, sizeof again, &paired, sizeof paired);
    g_assert_true(block.is_set && block.clipped == 9 && block.dw == 7 && block.dd == 8);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(choices); i++) {
        char name[256];
        g_snprintf(name, sizeof name, "/pooled/curve/%s", choices[i].name);
        g_test_add_data_func(name, &choices[i], test_choice);
    }
    g_test_add_func("/pooled/curve/windows without an example leave a day whole",
                    test_empty_windows);
    g_test_add_func("/pooled/figures come from added sums", test_pooled_figures);
    g_test_add_func("/pooled/drift loss comes from the paired sums", test_drift_loss);
    g_test_add_func("/pooled/the telling age is the oldest of a day, else the youngest",
                    test_telling_point);
    g_test_add_func("/pooled/windows and days are in order, each kind by itself", test_periods);
    g_test_add_func("/pooled/models are compared on windows that all have", test_common_windows);
    g_test_add_func("/pooled/task, run and window length part entries", test_entries);
    g_test_add_func("/pooled/sums come back from a record", test_record_sums);
    return g_test_run();
}
