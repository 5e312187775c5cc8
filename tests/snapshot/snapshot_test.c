/* snapshot_test.c - what is written is read back to the bit, and nothing else is taken for it. */
#include "snapshot/snapshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/scorer.h"
#include "snapshot_helper.h"
#include "testkit.h"

enum { N_ROWS = 300 };

static char *write_model(const struct test_model *model, const char *folder, enum esp_dtype dtype)
{
    char *path = g_build_filename(folder, "one.safetensors", NULL);
    uint64_t bytes = 0;
    struct esp_error err = {0};
    g_assert_cmpint(
        esp_snapshot_write(path, &model->manifest, &model->parameters, dtype, &bytes, &err), ==,
        ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    return path;
}

static void score(struct esp_features *features, const struct esp_forward_model *forward,
                  float logits[N_ROWS * ESP_N_TASKS])
{
    struct esp_feature_batch batch;
    struct esp_scorer *scorer = NULL;
    test_rows(features, N_ROWS, &batch);
    g_assert_cmpint(esp_scorer_new(forward->network, &scorer, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_scorer_score(scorer, forward, &batch, logits, NULL), ==, ESP_OK);
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
}

static void test_round_trip(const void *data)
{
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, (enum esp_setup_id)GPOINTER_TO_INT(data));
    char *path = write_model(&model, folder, ESP_DTYPE_F32);
    struct esp_snapshot *snapshot = NULL;
    struct esp_error err = {0};
    esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, &err);
    g_assert_cmpstr(err.text, ==, "");
    static float want[N_ROWS * ESP_N_TASKS], got[N_ROWS * ESP_N_TASKS];
    score(model.features, &model.forward, want);
    score(esp_snapshot_features(snapshot), esp_snapshot_model(snapshot), got);
    g_assert_true(memcmp(want, got, sizeof want) == 0);
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
    g_assert_cmpstr(manifest->run, ==, "00000000deadbeef");
    g_assert_cmpstr(manifest->model, ==, "main");
    g_assert_cmpint(manifest->number, ==, 12);
    g_assert_cmpint(manifest->boundary_us, ==, 12 * ESP_HOUR);
    g_assert_cmpuint(manifest->n_learned, ==, 1000);
    g_assert_cmpuint(manifest->n_schemas, ==, 2);
    g_assert_true(manifest->schemas[1] == 0xfedcba9876543210);
    g_assert_cmpstr(manifest->fields[2], ==, "bid.floor");
    esp_snapshot_close(snapshot);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

/* The truth is 8 bits of mantissa away, at most 2^-8 of each weight. */
static void test_half_rows(void)
{
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, ESP_SETUP_IPSP);
    char *path = write_model(&model, folder, ESP_DTYPE_BF16);
    struct esp_snapshot *snapshot = NULL;
    g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, NULL), ==, ESP_OK);
    const struct esp_table_view *view = &esp_snapshot_model(snapshot)->tables[0];
    const struct esp_table_view *want = &model.forward.tables[0];
    for (size_t r = 0; r < TEST_ROWS; r++)
        for (size_t d = 0; d < model.network.width; d++) {
            float w = want->rows[r * want->stride + d];
            g_assert_cmpfloat(fabsf(view->rows[r * view->stride + d] - w), <=, fabsf(w) / 256);
        }
    esp_snapshot_close(snapshot);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

/* Keys, rows and their index each larger than what is written at a time. */
static void test_large_table(const void *data)
{
    enum { CAPACITY = 1 << 18, ROWS = 120001 };
    enum esp_dtype dtype = (enum esp_dtype)GPOINTER_TO_INT(data);
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, ESP_SETUP_IPSP);
    const struct esp_table_view *small = &model.forward.tables[0];
    size_t D = model.network.width, stride = D + 1;
    struct esp_table_view large = {.mask = CAPACITY - 1, .stride = stride};
    uint64_t *keys = calloc(CAPACITY, sizeof *keys);
    uint32_t *row_of = calloc(CAPACITY, sizeof *row_of);
    float *rows = calloc(ROWS * stride, sizeof *rows);
    large.keys = keys;
    struct test_random random = {.state = 3};
    for (uint32_t r = 0; r < ROWS; r++) {
        bool is_own = r < TEST_CAPACITY && small->keys[r] != 0;
        uint64_t key = is_own ? small->keys[r] : test_random_u64(&random);
        size_t slot = esp_table_slot(&large, key);
        keys[slot] = key;
        row_of[slot] = r;
        for (size_t d = 0; d < stride; d++)
            rows[r * stride + d] = (float)(test_random_unit(&random) - 0.5);
    }
    large.row_of = row_of;
    large.rows = rows;
    model.parameters.tables[0] = (struct esp_parameter_table){large, ROWS};
    char *path = write_model(&model, folder, dtype);
    struct esp_snapshot *snapshot = NULL;
    g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, NULL), ==, ESP_OK);
    const struct esp_table_view *view = &esp_snapshot_model(snapshot)->tables[0];
    g_assert_cmpmem(view->keys, CAPACITY * sizeof *keys, keys, CAPACITY * sizeof *keys);
    g_assert_cmpmem(view->row_of, CAPACITY * sizeof *row_of, row_of, CAPACITY * sizeof *row_of);
    size_t n_wrong = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t d = 0; d < D; d++) {
            float want = rows[r * stride + d], got = view->rows[r * view->stride + d];
            float most = dtype == ESP_DTYPE_BF16 ? fabsf(want) / 256 : 0;
            n_wrong += !(fabsf(got - want) <= most);
        }
    g_assert_cmpuint(n_wrong, ==, 0);
    esp_snapshot_close(snapshot);
    free(keys);
    free(row_of);
    free(rows);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

/* What was opened before may be opened as known: it is the same model. */
static void test_known(void)
{
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, ESP_SETUP_IPSP);
    char *path = write_model(&model, folder, ESP_DTYPE_F32);
    struct esp_snapshot *snapshot = NULL;
    g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, NULL), ==, ESP_OK);
    esp_snapshot_close(snapshot);
    g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_KNOWN, &snapshot, NULL), ==, ESP_OK);
    static float want[N_ROWS * ESP_N_TASKS], got[N_ROWS * ESP_N_TASKS];
    score(model.features, &model.forward, want);
    score(esp_snapshot_features(snapshot), esp_snapshot_model(snapshot), got);
    g_assert_cmpmem(got, sizeof got, want, sizeof want);
    esp_snapshot_close(snapshot);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

static void test_layout(void)
{
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, ESP_SETUP_IP);
    char *path = write_model(&model, folder, ESP_DTYPE_F32);
    struct esp_snapshot *snapshot = NULL;
    g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, NULL), ==, ESP_OK);
    const struct esp_file_layout *layout = esp_snapshot_layout(snapshot);
    g_assert_cmpuint((esp_snapshot_bytes(snapshot) - layout->data_bytes) % 64, ==, 0);
    size_t n_pads = 0, n_tables = 0;
    for (size_t i = 0; i < layout->n; i++) {
        const struct esp_file_tensor *tensor = &layout->tensors[i];
        bool is_pad = g_str_has_prefix(tensor->name, "pad.");
        n_pads += is_pad;
        n_tables += g_str_has_prefix(tensor->name, "embedding.");
        g_assert_true(is_pad || tensor->begin % 64 == 0);
    }
    g_assert_cmpuint(n_pads, >, 0);
    g_assert_cmpuint(n_tables, ==, 6);
    esp_snapshot_close(snapshot);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

static void test_peek(void)
{
    char *folder = test_folder_new();
    struct test_model model;
    test_model_init(&model, ESP_SETUP_IPSP);
    char *path = write_model(&model, folder, ESP_DTYPE_F32);
    struct esp_snapshot_info info;
    g_assert_cmpint(esp_snapshot_peek(path, &info, NULL), ==, ESP_OK);
    g_assert_cmpstr(info.run, ==, model.manifest.run);
    g_assert_cmpstr(info.model, ==, "main");
    g_assert_cmpint(info.number, ==, 12);
    g_assert_true(g_str_has_prefix(info.manifest_json, "{\"version\":1,"));
    char name[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(info.model, info.run, info.number, name);
    g_assert_cmpstr(name, ==, "main-00000000deadbeef-000000000012.safetensors");
    esp_snapshot_info_release(&info);
    test_model_release(&model);
    g_free(path);
    test_folder_remove(folder);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Opens bytes as a file; the error's text, or "" if it was taken. Static. */
static const char *open_bytes(const char *folder, const void *bytes, size_t n,
                              enum esp_snapshot_check check)
{
    static struct esp_error err;
    char *path = g_build_filename(folder, "damaged", NULL);
    struct esp_snapshot *snapshot = NULL;
    g_assert_true(g_file_set_contents(path, bytes, (gssize)n, NULL));
    err = (struct esp_error){0};
    if (esp_snapshot_open(path, check, &snapshot, &err) != ESP_OK) {
        g_assert_cmpint(err.status, ==, ESP_EDATA);
        g_assert_true(g_str_has_prefix(err.text, path));
        g_free(path);
        return err.text + strlen(folder) + strlen("/damaged: ");
    }
    esp_snapshot_close(snapshot);
    g_free(path);
    return "";
}

struct damaged {
    char *folder, *path, *bytes;
    size_t n;
    struct test_model model;
};

static void damaged_init(struct damaged *damaged)
{
    damaged->folder = test_folder_new();
    test_model_init(&damaged->model, ESP_SETUP_IPSP);
    damaged->path = write_model(&damaged->model, damaged->folder, ESP_DTYPE_F32);
    g_assert_true(g_file_get_contents(damaged->path, &damaged->bytes, &damaged->n, NULL));
}

static void damaged_release(struct damaged *damaged)
{
    test_model_release(&damaged->model);
    g_free(damaged->path);
    g_free(damaged->bytes);
    test_folder_remove(damaged->folder);
}

static void test_truncated(void)
{
    struct damaged damaged;
    damaged_init(&damaged);
    for (size_t n = 0; n < damaged.n; n += n < 64 ? 1 : 37)
        g_assert_cmpstr(open_bytes(damaged.folder, damaged.bytes, n, ESP_SNAPSHOT_STRUCTURE), !=,
                        "");
    char *longer = g_malloc0(damaged.n + 1);
    memcpy(longer, damaged.bytes, damaged.n);
    g_assert_cmpstr(open_bytes(damaged.folder, longer, damaged.n + 1, ESP_SNAPSHOT_STRUCTURE), !=,
                    "");
    g_free(longer);
    damaged_release(&damaged);
}

static void test_altered(void)
{
    struct damaged damaged;
    damaged_init(&damaged);
    uint64_t head;
    memcpy(&head, damaged.bytes, sizeof head);
    for (size_t i = head + 8; i < damaged.n; i += 11) {
        damaged.bytes[i] ^= 0x10;
        g_assert_cmpstr(open_bytes(damaged.folder, damaged.bytes, damaged.n, ESP_SNAPSHOT_CHECKSUM),
                        ==, "its data is not what was written: the checksum differs");
        damaged.bytes[i] ^= 0x10;
    }
    damaged_release(&damaged);
}

/* Changes one place of the header to another text of the same length. */
static void replace(struct damaged *damaged, const char *from, const char *to)
{
    g_assert_cmpuint(strlen(from), ==, strlen(to));
    char *place = memmem(damaged->bytes, damaged->n, from, strlen(from));
    g_assert_nonnull(place);
    memcpy(place, to, strlen(to));
}

static const struct header_case {
    const char *name, *from, *to, *want;
} HEADER_CASES[] = {
    {"another version", "\\\"version\\\":1,", "\\\"version\\\":2,",
     "its manifest has version 2; this program reads 1"},
    {"a set-up that is not known", "ipsp", "ipsq", "its manifest has no sound \"setup\""},
    {"another width", "\\\"width\\\":6", "\\\"width\\\":7",
     "tensor tower0.shared0.weight has not the shape of the manifest's model"},
    {"another feature", "\\\"geo.country\\\"", "\\\"geo.kountry\\\"",
     "feature statistics of another feature list or version cannot be taken"},
    {"a number that is not the boundary's", "\\\"number\\\":12", "\\\"number\\\":13",
     "its manifest has no sound \"number\""},
    {"no manifest", "espalier.manifest", "espalier.menifest",
     "it is no snapshot of Espalier: its metadata has no espalier.manifest"},
    {"a tensor that is missing", "\"embedding.0.keys\"", "\"embedding.0.kexs\"",
     "tensor embedding.0.keys is missing"},
    {"a dtype that is not known", "\"dtype\":\"U64\"", "\"dtype\":\"X64\"",
     "tensor embedding.0.keys has no dtype and shape that is read here"},
    {"offsets that are not the shape's", "\"shape\":[64]", "\"shape\":[65]",
     "tensor embedding.0.keys: its offsets are not those of its shape"},
    {"a model name that climbs", "\\\"model\\\":\\\"main\\\"", "\\\"model\\\":\\\"../x\\\"",
     "its manifest has no sound \"model\""},
};

static void test_header(const void *data)
{
    const struct header_case *row = data;
    struct damaged damaged;
    damaged_init(&damaged);
    replace(&damaged, row->from, row->to);
    if (strcmp(row->name, "another feature") == 0) /* the list, not the field */
        replace(&damaged, "\\\"geo.country\\\"", "\\\"geo.kountry\\\"");
    g_assert_cmpstr(open_bytes(damaged.folder, damaged.bytes, damaged.n, ESP_SNAPSHOT_STRUCTURE),
                    ==, row->want);
    damaged_release(&damaged);
}

/* Where a tensor's bytes stand in the file. */
static char *tensor_bytes(struct damaged *damaged, const char *name)
{
    struct esp_file_head head;
    g_assert_cmpint(esp_file_read_head(esp_bytes(damaged->bytes, damaged->n), damaged->n,
                                       ESP_MANIFEST_KEY, &head, NULL),
                    ==, ESP_OK);
    char *place =
        damaged->bytes + head.data_offset + esp_file_layout_find(&head.layout, name)->begin;
    esp_file_head_release(&head);
    return place;
}

static void test_index(void)
{
    struct damaged damaged;
    damaged_init(&damaged);
    char *row_of = tensor_bytes(&damaged, "embedding.0.row_of");
    char *keys = tensor_bytes(&damaged, "embedding.0.keys");
    uint64_t key;
    size_t used = 0;
    for (memcpy(&key, keys, sizeof key); key == 0; memcpy(&key, keys + 8 * used, sizeof key))
        used++;
    uint32_t beyond = TEST_ROWS;
    memcpy(row_of + 4 * used, &beyond, sizeof beyond);
    const char *said = open_bytes(damaged.folder, damaged.bytes, damaged.n, ESP_SNAPSHOT_STRUCTURE);
    g_assert_true(g_str_has_suffix(said, "names row 32 of 32"));
    memset(row_of, 0, 4 * TEST_CAPACITY);
    memset(keys, 1, 8 * TEST_CAPACITY);
    g_assert_cmpstr(open_bytes(damaged.folder, damaged.bytes, damaged.n, ESP_SNAPSHOT_STRUCTURE),
                    ==, "embedding.0: its index has no empty slot");
    memset(keys, 0, 8 * TEST_CAPACITY);
    g_assert_cmpstr(open_bytes(damaged.folder, damaged.bytes, damaged.n, ESP_SNAPSHOT_STRUCTURE),
                    ==, "embedding.0 has no default row of feature geo.country");
    damaged_release(&damaged);
}

static void test_not_there(void)
{
    struct esp_snapshot *snapshot = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_snapshot_open("/nowhere/x", ESP_SNAPSHOT_STRUCTURE, &snapshot, &err), ==,
                    ESP_EIO);
    g_assert_cmpstr(err.text, ==, "/nowhere/x: cannot be opened: No such file or directory");
    struct test_model model;
    test_model_init(&model, ESP_SETUP_CTR);
    err = (struct esp_error){0};
    g_assert_cmpint(esp_snapshot_write("/nowhere/x", &model.manifest, &model.parameters,
                                       ESP_DTYPE_F32, NULL, &err),
                    ==, ESP_EIO);
    test_model_release(&model);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (int id = 0; id < ESP_N_SETUPS; id++) {
        char *path = g_strdup_printf("/snapshot/%s reads back to the bit",
                                     esp_setup_get((enum esp_setup_id)id)->name);
        g_test_add_data_func(path, GINT_TO_POINTER(id), test_round_trip);
        g_free(path);
    }
    g_test_add_func("/snapshot/half rows are within 2^-8", test_half_rows);
    g_test_add_data_func("/snapshot/a table larger than a write reads back to the bit",
                         GINT_TO_POINTER(ESP_DTYPE_F32), test_large_table);
    g_test_add_data_func("/snapshot/half rows of a table larger than a write are within 2^-8",
                         GINT_TO_POINTER(ESP_DTYPE_BF16), test_large_table);
    g_test_add_func("/snapshot/a file that is known opens as the same model", test_known);
    g_test_add_func("/snapshot/tensors are aligned, gaps are tensors", test_layout);
    g_test_add_func("/snapshot/a peek tells whose it is", test_peek);
    g_test_add_func("/damage/a truncated file is refused at every length", test_truncated);
    g_test_add_func("/damage/an altered byte is found by the checksum", test_altered);
    for (size_t i = 0; i < G_N_ELEMENTS(HEADER_CASES); i++) {
        char *path = g_strdup_printf("/damage/header/%s", HEADER_CASES[i].name);
        g_test_add_data_func(path, &HEADER_CASES[i], test_header);
        g_free(path);
    }
    g_test_add_func("/damage/an index that would lead astray is refused", test_index);
    g_test_add_func("/damage/a file that is not there", test_not_there);
    return g_test_run();
}
