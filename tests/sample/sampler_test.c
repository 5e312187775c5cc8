/*
 * sampler_test.c - the two splits and the weights.
 *
 * The counts come from a Python program over xxhash and splitmix64, so that a change of the hash,
 * of a domain or of a seed's use is seen. Those who read fields go through a real decoder.
 */
#include "sample/sampler.h"

#include <math.h>

#include "core/buf.h"
#include "event/encode.h"
#include "testkit.h"

enum { N_IDS = 100000 };

/* The label of impression "imp-N"; text holds its id. */
static struct esp_label label_of(size_t n, enum esp_stage stage, bool y, char text[32])
{
    int size = snprintf(text, 32, "imp-%zu", n);
    return (struct esp_label){
        .id = esp_bytes(text, (size_t)size),
        .click_us = y ? 1 : ESP_TIME_NONE,
        .install_us = ESP_TIME_NONE,
        .stage = (uint8_t)stage,
        .y = y,
    };
}

/* ---- shares ---- */

struct split {
    const char *title;
    double q, r;
    uint64_t holdout_seed, negative_seed;
    size_t holdout, kept, both; /* of 100,000 ids; holdout is counted where all are kept */
};

static const struct split splits[] = {
    {"a tenth and a tenth", 0.1, 0.1, 7, 7, 9899, 9884, 1027},
    {"a hundredth and a fiftieth", 0.01, 0.02, 1, 2, 1010, 2014, 14},
    {"halves, with both seeds 0", 0.5, 0.5, 0, 0, 49847, 49838, 24859},
    {"no holdout and all negatives", 0, 1, 1, 2, 0, 100000, 0},
};

/* Five standard deviations of a count of n with probability p. */
static double five_sigma(double n, double p)
{
    return 5 * sqrt(n * p * (1 - p));
}

static void a_split_has_its_share(gconstpointer data)
{
    const struct split *split = data;
    struct esp_sampler_config config = {.holdout = split->q,
                                        .negatives = split->r,
                                        .holdout_seed = split->holdout_seed,
                                        .negative_seed = split->negative_seed};
    size_t holdout = 0, kept = 0, both = 0;
    for (size_t i = 0; i < N_IDS; i++) {
        char text[32];
        struct esp_label negative = label_of(i, ESP_STAGE_CLICK, false, text), positive = negative;
        positive.y = true;
        struct esp_sample a, b;
        esp_sampler_decide(&config, NULL, &negative, &a);
        esp_sampler_decide(&config, NULL, &positive, &b);
        g_assert_true(b.kept);
        holdout += b.holdout;
        kept += a.kept;
        both += a.kept && a.holdout;
        if (a.kept)
            g_assert_true(a.holdout == b.holdout);
    }
    g_assert_cmpuint(holdout, ==, split->holdout);
    g_assert_cmpuint(kept, ==, split->kept);
    g_assert_cmpuint(both, ==, split->both);
    assert_close((double)holdout, N_IDS * split->q, 0, five_sigma(N_IDS, split->q));
    assert_close((double)kept, N_IDS * split->r, 0, five_sigma(N_IDS, split->r));
    /* independent: the shares multiply */
    assert_close((double)both, N_IDS * split->q * split->r, 0,
                 five_sigma(N_IDS, split->q * split->r));
}

static void a_larger_share_contains_the_smaller(void)
{
    struct esp_sampler_config less = {.holdout = 0.1, .negatives = 0.1}, more = less;
    more.holdout = 0.2;
    more.negatives = 0.2;
    for (size_t i = 0; i < 10000; i++) {
        char text[32];
        struct esp_label label = label_of(i, ESP_STAGE_CLICK, false, text);
        struct esp_sample a, b;
        esp_sampler_decide(&less, NULL, &label, &a);
        esp_sampler_decide(&more, NULL, &label, &b);
        g_assert_true(!a.kept || b.kept);
        g_assert_true(!(a.kept && a.holdout) || b.holdout);
    }
}

/* ---- one impression ---- */

static void all_stages_of_an_impression_agree(void)
{
    struct esp_sampler_config config = {.holdout = 0.3, .negatives = 0.3, .negative_seed = 4};
    for (size_t i = 0; i < 10000; i++) {
        bool y = i % 3 == 0;
        char text[32];
        struct esp_label label = label_of(i, ESP_STAGE_CLICK, y, text);
        struct esp_sample first, other;
        esp_sampler_decide(&config, NULL, &label, &first);
        for (int stage = ESP_STAGE_INSTALL; stage <= ESP_STAGE_WHOLE; stage++) {
            label.stage = (uint8_t)stage;
            label.z = y;
            label.ticket = i * 7;
            esp_sampler_decide(&config, NULL, &label, &other);
            g_assert_true(first.kept == other.kept);
            if (!first.kept)
                continue;
            g_assert_true(first.holdout == other.holdout);
            assert_close(other.weight, first.weight, 0, 0);
            assert_close(other.base_weight, first.base_weight, 0, 0);
        }
    }
}

struct weight {
    const char *title;
    double r;
    bool y;
    double weight; /* of a kept example */
};

static const struct weight weights[] = {
    {"a kept negative stands for 1 / r", 0.1, false, 10},
    {"a positive stands for itself", 0.1, true, 1},
    {"without downsampling a negative stands for itself", 1, false, 1},
};

static void a_weight_is_right(gconstpointer data)
{
    const struct weight *row = data;
    struct esp_sampler_config config = {.negatives = row->r};
    size_t kept = 0;
    for (size_t i = 0; i < 1000; i++) {
        char text[32];
        struct esp_label label = label_of(i, ESP_STAGE_CLICK, row->y, text);
        struct esp_sample sample;
        esp_sampler_decide(&config, NULL, &label, &sample);
        if (!sample.kept)
            continue;
        kept++;
        g_assert_false(sample.holdout);
        assert_close(sample.weight, row->weight, 1e-15, 0);
        assert_close(sample.base_weight, 1, 0, 0);
    }
    g_assert_cmpuint(kept, >, 0);
}

/* A value of each impression that depends on its number, summed over all and, weighted, over the
 * kept: the second estimates the first, in the holdout as in training. */
static void weighted_sums_estimate_unsampled_ones(gconstpointer data)
{
    struct esp_sampler_config config = {.holdout = 0.2, .negatives = *(const double *)data};
    struct esp_sampler_config unsampled = {.holdout = 0.2, .negatives = 1};
    double all[2] = {0}, estimate[2] = {0}, variance[2] = {0};
    for (size_t i = 0; i < N_IDS; i++) {
        double value = 1 + (double)(i % 17);
        char text[32];
        struct esp_label label = label_of(i, ESP_STAGE_CLICK, i % 20 == 0, text);
        struct esp_sample sample;
        esp_sampler_decide(&unsampled, NULL, &label, &sample);
        all[sample.holdout] += value;
        if (!label.y) /* of value * [kept] / r */
            variance[sample.holdout] += value * value * (1 / config.negatives - 1);
        esp_sampler_decide(&config, NULL, &label, &sample);
        if (sample.kept)
            estimate[sample.holdout] += sample.weight * value;
    }
    for (int holdout = 0; holdout < 2; holdout++)
        assert_close(estimate[holdout], all[holdout], 0, 4 * sqrt(variance[holdout]));
}

/* ---- configurations ---- */

struct bad_config {
    const char *title;
    double q, r;
    enum esp_status want;
};

static const struct bad_config bad_configs[] = {
    {"shares of 0 and 1 are fine", 0, 1, ESP_OK},
    {"shares of nearly 1 and nearly 0 are fine", 0.999, 1e-6, ESP_OK},
    {"a holdout of 1 is refused", 1, 1, ESP_ECONFIG},
    {"a negative holdout is refused", -0.1, 1, ESP_ECONFIG},
    {"a holdout that is no number is refused", NAN, 1, ESP_ECONFIG},
    {"no negatives are refused", 0, 0, ESP_ECONFIG},
    {"more than all negatives are refused", 0, 1.5, ESP_ECONFIG},
    {"negatives that are no number are refused", 0, NAN, ESP_ECONFIG},
};

static void a_configuration_is_judged(gconstpointer data)
{
    const struct bad_config *row = data;
    struct esp_sampler_config config = {.holdout = row->q, .negatives = row->r};
    struct esp_error err = {0};
    g_assert_cmpint(esp_sampler_validate(&config, &err), ==, row->want);
    g_assert_true((err.text[0] != '\0') == (row->want != ESP_OK));
}

/* ---- fields of the payload ---- */

static const char *const SCHEMA =
    "{\"type\": \"record\", \"name\": \"Impression\", \"fields\": ["
    "{\"name\": \"id\", \"type\": \"string\"},"
    "{\"name\": \"at\", \"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}},"
    "{\"name\": \"user\", \"type\": [\"null\", \"string\"]},"
    "{\"name\": \"weight\", \"type\": \"double\"}]}";

/* A decoder of impressions with the schema above, and a writer's index. */
struct fields_fixture {
    char *folder;
    struct esp_decoder *decoder;
    struct esp_buf record;
};

static void fixture_open(struct fields_fixture *fixture)
{
    struct esp_error err = {0};
    *fixture = (struct fields_fixture){.folder = test_folder_new()};
    esp_buf_init(&fixture->record, 1 << 16);
    char *path = g_build_filename(fixture->folder, "impression.avsc", NULL);
    g_assert_true(g_file_set_contents(path, SCHEMA, -1, NULL));
    struct esp_schema_file file = {.id = -1, .path = path, .where = "test:1"};
    struct esp_decoder_config config = {
        .kind = ESP_IMPRESSION,
        .topic = "impressions",
        .framing = ESP_FRAMING_BARE,
        .writers = &file,
        .n_writers = 1,
        .id_path = "id",
        .time_path = "at",
        .holdout_path = "user",
        .weight_path = "weight",
        .time_min_us = 0,
        .time_max_us = INT64_MAX,
        .max_record_bytes = 1 << 20,
    };
    g_assert_cmpint(esp_decoder_new(&config, &fixture->decoder, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_free(path);
}

static void fixture_close(struct fields_fixture *fixture)
{
    esp_decoder_free(fixture->decoder);
    esp_buf_release(&fixture->record);
    test_folder_remove(fixture->folder);
}

/* Encodes an impression, decodes its header, and asks the sampler. user may be NULL: null. */
static struct esp_sample sample_record(struct fields_fixture *fixture,
                                       const struct esp_sampler_config *config, const char *id,
                                       const char *user, double weight, bool y)
{
    struct esp_buf *buf = &fixture->record;
    esp_buf_clear(buf);
    esp_put_bytes(buf, esp_bytes_of(id), NULL);
    esp_put_long(buf, 1000000, NULL);
    esp_put_long(buf, user != NULL, NULL);
    if (user != NULL)
        esp_put_bytes(buf, esp_bytes_of(user), NULL);
    esp_put_double(buf, weight, NULL);
    struct esp_record record = {.value = esp_buf_bytes(buf), .log_time_us = ESP_TIME_NONE};
    struct esp_header header;
    g_assert_cmpint(esp_decoder_headers(fixture->decoder, &record, 1, &header, NULL), ==, ESP_OK);
    g_assert_cmpint(header.reject, ==, ESP_REJECT_NONE);

    struct esp_sample sample = {0};
    if (header.reject != ESP_REJECT_NONE)
        return sample;
    struct esp_label label = {
        .id = header.id, .payload = header.payload, .writer = header.writer, .y = y};
    esp_sampler_decide(config, fixture->decoder, &label, &sample);
    return sample;
}

static void a_holdout_key_groups_its_impressions(void)
{
    struct esp_sampler_config config = {.holdout = 0.3, .negatives = 1, .reads_fields = true};
    struct esp_sampler_config by_id = {.holdout = 0.3, .negatives = 1};
    struct fields_fixture fixture;
    fixture_open(&fixture);
    size_t n_holdout = 0;
    for (size_t user = 0; fixture.decoder != NULL && user < 300; user++) {
        size_t holdout = 0;
        for (size_t i = 0; i < 5; i++) {
            char id[32], name[32];
            snprintf(id, sizeof id, "imp-%zu", user * 5 + i);
            snprintf(name, sizeof name, "user-%zu", user);
            holdout += sample_record(&fixture, &config, id, name, 1, i == 0).holdout;
        }
        g_assert_true(holdout == 0 || holdout == 5);
        n_holdout += holdout / 5;
    }
    assert_close((double)n_holdout, 90, 0, five_sigma(300, 0.3));

    for (size_t i = 0; fixture.decoder != NULL && i < 100; i++) { /* no user: the id is the key */
        char text[32];
        struct esp_label label = label_of(i, ESP_STAGE_CLICK, false, text);
        struct esp_sample want;
        esp_sampler_decide(&by_id, NULL, &label, &want);
        g_assert_true(sample_record(&fixture, &config, text, NULL, 1, false).holdout ==
                      want.holdout);
    }
    fixture_close(&fixture);
}

static void an_upstream_weight_multiplies(void)
{
    struct esp_sampler_config config = {.negatives = 0.5, .reads_fields = true};
    struct fields_fixture fixture;
    fixture_open(&fixture);
    size_t kept = 0;
    for (size_t i = 0; fixture.decoder != NULL && i < 100; i++) {
        char id[32];
        snprintf(id, sizeof id, "imp-%zu", i);
        struct esp_sample clicked = sample_record(&fixture, &config, id, "u", 4, true);
        assert_close(clicked.weight, 4, 0, 0);
        assert_close(clicked.base_weight, 4, 0, 0);
        struct esp_sample negative = sample_record(&fixture, &config, id, "u", 4, false);
        if (!negative.kept)
            continue;
        kept++;
        assert_close(negative.weight, 8, 0, 0);
        assert_close(negative.base_weight, 4, 0, 0);
    }
    assert_close((double)kept, 50, 0, five_sigma(100, 0.5));
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const double shares[] = {1, 0.5, 0.1, 0.02};
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(splits); i++) {
        char *path = g_strdup_printf("/sampler/shares/%s", splits[i].title);
        g_test_add_data_func(path, &splits[i], a_split_has_its_share);
        g_free(path);
    }
    g_test_add_func("/sampler/shares/a larger share contains the smaller",
                    a_larger_share_contains_the_smaller);
    g_test_add_func("/sampler/all stages of an impression agree",
                    all_stages_of_an_impression_agree);
    for (size_t i = 0; i < G_N_ELEMENTS(weights); i++) {
        char *path = g_strdup_printf("/sampler/weight/%s", weights[i].title);
        g_test_add_data_func(path, &weights[i], a_weight_is_right);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(shares); i++) {
        char *path = g_strdup_printf(
            "/sampler/weight/weighted sums at r = %g estimate the unsampled ones", shares[i]);
        g_test_add_data_func(path, &shares[i], weighted_sums_estimate_unsampled_ones);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad_configs); i++) {
        char *path = g_strdup_printf("/sampler/configuration/%s", bad_configs[i].title);
        g_test_add_data_func(path, &bad_configs[i], a_configuration_is_judged);
        g_free(path);
    }
    g_test_add_func("/sampler/fields/a holdout key groups its impressions",
                    a_holdout_key_groups_its_impressions);
    g_test_add_func("/sampler/fields/an upstream weight multiplies", an_upstream_weight_multiplies);
    return g_test_run();
}
