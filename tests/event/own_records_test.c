/* own_records_test.c - our own records: what is written is read again, and nothing else is. */
#include <avro.h>

#include "core/hash.h"
#include "event/own_records.h"
#include "testkit.h"

enum { N_CHUNKS = 3 };

static struct esp_snapshot_chunk_record make_chunk(void)
{
    return (struct esp_snapshot_chunk_record){
        .id = {"0123456789abcdef", "main", 471},
        .index = 1,
        .count = 4,
        .offset = 523264,
        .checksum = UINT64_C(0xfedcba9876543210),
        .data = esp_bytes("\0bytes\xff", 7),
    };
}

/* The arrays are static. */
static struct esp_snapshot_manifest_record make_manifest(void)
{
    static int64_t offsets[N_CHUNKS] = {7, 9, INT64_C(1) << 40};
    static uint64_t checksums[N_CHUNKS] = {0, UINT64_MAX, UINT64_C(1) << 63};
    static struct esp_input_offset inputs[2] = {{{NULL, 0}, 0, 12}, {{NULL, 0}, 1, 0}};
    inputs[0].topic = esp_bytes_of("impressions");
    inputs[1].topic = esp_bytes_of("clicks");
    static struct esp_rewind_offset rewinds[3] = {{{NULL, 0}, 0, 7, 1700000000000000},
                                                  {{NULL, 0}, 1, -2, ESP_TIME_NONE},
                                                  {{NULL, 0}, 2147483647, 0, -5}};
    rewinds[0].topic = rewinds[1].topic = esp_bytes_of("impressions");
    rewinds[2].topic = esp_bytes_of("clicks");
    return (struct esp_snapshot_manifest_record){
        .id = {"00000000000000ff", "a model", INT64_MAX},
        .boundary_us = -1,
        .created_us = INT64_C(1700000000000000),
        .size = 1200000,
        .checksum = UINT64_C(0x8000000000000001),
        .chunk_partition = 2,
        .chunk_offsets = offsets,
        .chunk_checksums = checksums,
        .n_chunks = N_CHUNKS,
        .inputs = inputs,
        .n_inputs = 2,
        .manifest = esp_bytes_of("{\"version\": 1}"),
        .rewinds = rewinds,
        .n_rewinds = 3,
    };
}

static void encode_chunk(struct esp_buf *buf, const struct esp_snapshot_chunk_record *record)
{
    esp_buf_init(buf, 1 << 20);
    g_assert_cmpint(esp_encode_snapshot_chunk(buf, record, NULL), ==, ESP_OK);
}

static void encode_manifest(struct esp_buf *buf, const struct esp_snapshot_manifest_record *record)
{
    esp_buf_init(buf, 1 << 20);
    g_assert_cmpint(esp_encode_snapshot_manifest(buf, record, NULL), ==, ESP_OK);
}

static void test_chunk(void)
{
    struct esp_snapshot_chunk_record want = make_chunk(), got;
    struct esp_buf buf;
    encode_chunk(&buf, &want);
    struct esp_error err = {0};
    g_assert_cmpint(esp_decode_snapshot_chunk(esp_buf_bytes(&buf), &got, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_true(esp_snapshot_id_equal(&got.id, &want.id));
    g_assert_cmpint(got.index, ==, want.index);
    g_assert_cmpint(got.count, ==, want.count);
    g_assert_cmpint(got.offset, ==, want.offset);
    g_assert_cmpuint(got.checksum, ==, want.checksum);
    g_assert_cmpmem(got.data.data, got.data.size, want.data.data, want.data.size);
    esp_buf_release(&buf);
}

static void same_manifest(struct esp_bytes bytes, const struct esp_snapshot_manifest_record *whole,
                          size_t n_rewinds)
{
    struct esp_snapshot_manifest_record want = *whole, got;
    struct esp_error err = {0};
    g_assert_cmpint(esp_decode_snapshot_manifest(bytes, &got, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    if (g_test_failed())
        return;
    g_assert_true(esp_snapshot_id_equal(&got.id, &want.id));
    g_assert_cmpint(got.boundary_us, ==, want.boundary_us);
    g_assert_cmpint(got.created_us, ==, want.created_us);
    g_assert_cmpuint(got.size, ==, want.size);
    g_assert_cmpuint(got.checksum, ==, want.checksum);
    g_assert_cmpint(got.chunk_partition, ==, want.chunk_partition);
    g_assert_cmpmem(got.chunk_offsets, got.n_chunks * 8, want.chunk_offsets, N_CHUNKS * 8);
    g_assert_cmpmem(got.chunk_checksums, got.n_chunks * 8, want.chunk_checksums, N_CHUNKS * 8);
    g_assert_cmpuint(got.n_inputs, ==, 2);
    for (size_t i = 0; i < 2; i++) {
        g_assert_true(esp_bytes_equal(got.inputs[i].topic, want.inputs[i].topic));
        g_assert_cmpint(got.inputs[i].partition, ==, want.inputs[i].partition);
        g_assert_cmpint(got.inputs[i].offset, ==, want.inputs[i].offset);
    }
    g_assert_true(esp_bytes_equal(got.manifest, want.manifest));
    g_assert_cmpuint(got.n_rewinds, ==, n_rewinds);
    for (size_t i = 0; i < got.n_rewinds; i++) {
        g_assert_true(esp_bytes_equal(got.rewinds[i].topic, want.rewinds[i].topic));
        g_assert_cmpint(got.rewinds[i].partition, ==, want.rewinds[i].partition);
        g_assert_cmpint(got.rewinds[i].offset, ==, want.rewinds[i].offset);
        g_assert_cmpint(got.rewinds[i].largest_us, ==, want.rewinds[i].largest_us);
    }
    esp_snapshot_manifest_record_release(&got);
}

static void test_manifest(void)
{
    struct esp_snapshot_manifest_record want = make_manifest();
    struct esp_buf buf;
    encode_manifest(&buf, &want);
    same_manifest(esp_buf_bytes(&buf), &want, 3);
    esp_buf_release(&buf);
}

/* tests/data/format-v1/ holds what version 1 wrote of make_manifest(). */
static void test_version_1(void)
{
    struct esp_own_fingerprints own;
    struct esp_snapshot_manifest_record want = make_manifest();
    struct esp_bytes bare;
    char *bytes = NULL;
    gsize n = 0;
    g_assert_cmpint(esp_own_fingerprints_init(&own, NULL), ==, ESP_OK);
    g_assert_true(g_file_get_contents(ESP_SOURCE_DIR "/tests/data/format-v1/snapshot_manifest.bin",
                                      &bytes, &n, NULL));
    g_assert_cmpint(
        esp_own_unframe(&own, ESP_SCHEMA_SNAPSHOT_MANIFEST, esp_bytes(bytes, n), &bare, NULL), ==,
        ESP_OK);
    same_manifest(bare, &want, 0);
    g_free(bytes);
}

static void check_long(avro_value_t *record, const char *name, int64_t want)
{
    avro_value_t field;
    int64_t got = ~want;
    g_assert_cmpint(avro_value_get_by_name(record, name, &field, NULL), ==, 0);
    g_assert_cmpint(avro_value_get_long(&field, &got), ==, 0);
    g_assert_cmpint(got, ==, want);
}

/* Another implementation reads with the schema what we wrote without it. */
static void test_oracle(void)
{
    struct esp_snapshot_manifest_record want = make_manifest();
    struct esp_buf buf;
    encode_manifest(&buf, &want);
    avro_schema_t schema = NULL;
    const char *json = esp_own_schema_json(ESP_SCHEMA_SNAPSHOT_MANIFEST);
    g_assert_cmpint(avro_schema_from_json_length(json, strlen(json), &schema), ==, 0);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_reader_t reader = avro_reader_memory((const char *)buf.data, (int64_t)buf.size);
    avro_value_t value, array, item;
    size_t n = 0, size = 0;
    const char *text = NULL;
    avro_generic_value_new(iface, &value);
    g_assert_cmpint(avro_value_read(reader, &value), ==, 0);
    check_long(&value, "snapshot", want.id.number);
    check_long(&value, "boundary", want.boundary_us);
    check_long(&value, "created_at", want.created_us);
    check_long(&value, "size", (int64_t)want.size);
    check_long(&value, "checksum", (int64_t)want.checksum);
    avro_value_get_by_name(&value, "chunk_checksums", &array, NULL);
    avro_value_get_size(&array, &n);
    g_assert_cmpuint(n, ==, N_CHUNKS);
    avro_value_get_by_name(&value, "input_offsets", &array, NULL);
    avro_value_get_by_index(&array, 0, &item, NULL);
    check_long(&item, "offset", 12);
    avro_value_get_by_name(&value, "rewind", &array, NULL);
    avro_value_get_size(&array, &n);
    g_assert_cmpuint(n, ==, 3);
    avro_value_get_by_index(&array, 1, &item, NULL);
    check_long(&item, "offset", -2);
    avro_value_get_by_name(&value, "manifest", &item, NULL);
    avro_value_get_string(&item, &text, &size);
    g_assert_cmpmem(text, size - 1, want.manifest.data, want.manifest.size);
    avro_value_decref(&value);
    avro_reader_free(reader);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    esp_buf_release(&buf);
}

/* Every shorter record is refused, and a longer one, too; the block is of just its size. */
static void test_truncated(void)
{
    struct esp_snapshot_manifest_record manifest = make_manifest(), got;
    struct esp_snapshot_chunk_record chunk = make_chunk(), got_chunk;
    struct esp_buf buf;
    encode_manifest(&buf, &manifest);
    for (size_t size = 0; size <= buf.size + 1 && !g_test_failed(); size++) {
        uint8_t *copy = g_malloc0(size + (size == 0));
        memcpy(copy, buf.data, size < buf.size ? size : buf.size);
        g_assert_cmpint(esp_decode_snapshot_manifest(esp_bytes(copy, size), &got, NULL), ==,
                        size == buf.size ? ESP_OK : ESP_EDECODE);
        esp_snapshot_manifest_record_release(&got);
        g_free(copy);
    }
    esp_buf_release(&buf);
    encode_chunk(&buf, &chunk);
    for (size_t size = 0; size <= buf.size + 1 && !g_test_failed(); size++) {
        uint8_t *copy = g_malloc0(size + (size == 0));
        memcpy(copy, buf.data, size < buf.size ? size : buf.size);
        g_assert_cmpint(esp_decode_snapshot_chunk(esp_bytes(copy, size), &got_chunk, NULL), ==,
                        size == buf.size ? ESP_OK : ESP_EDECODE);
        g_free(copy);
    }
    esp_buf_release(&buf);
}

enum { BIG = ESP_CHUNK_MAX_BYTES + 1 };

/* Fields out of range are named. */
static void test_chunk_ranges(void)
{
    static uint8_t big[BIG];
    static const struct {
        const char *field;
        struct esp_snapshot_chunk_record record;
    } rows[] = {
        {"run", {{"0123456789abcdeF", "m", 1}, 0, 1, 0, 0, {big, 1}}},
        {"run", {{"0123", "m", 1}, 0, 1, 0, 0, {big, 1}}},
        {"model", {{"0123456789abcdef", "", 1}, 0, 1, 0, 0, {big, 1}}},
        {"model", {{"0123456789abcdef", "a/b", 1}, 0, 1, 0, 0, {big, 1}}},
        {"model", {{"0123456789abcdef", "..", 1}, 0, 1, 0, 0, {big, 1}}},
        {"model", {{"0123456789abcdef", "a\nb", 1}, 0, 1, 0, 0, {big, 1}}},
        {"snapshot", {{"0123456789abcdef", "m", -1}, 0, 1, 0, 0, {big, 1}}},
        {"index", {{"0123456789abcdef", "m", 1}, -1, 1, 0, 0, {big, 1}}},
        {"count", {{"0123456789abcdef", "m", 1}, 3, 3, 0, 0, {big, 1}}},
        {"count", {{"0123456789abcdef", "m", 1}, 0, ESP_CHUNK_MAX_COUNT + 1, 0, 0, {big, 1}}},
        {"offset", {{"0123456789abcdef", "m", 1}, 0, 1, -1, 0, {big, 1}}},
        {"data", {{"0123456789abcdef", "m", 1}, 0, 1, 0, 0, {big, 0}}},
        {"data", {{"0123456789abcdef", "m", 1}, 0, 1, 0, 0, {big, BIG}}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct esp_buf buf;
        struct esp_snapshot_chunk_record got;
        struct esp_error err = {0};
        char want[64];
        encode_chunk(&buf, &rows[i].record);
        g_assert_cmpint(esp_decode_snapshot_chunk(esp_buf_bytes(&buf), &got, &err), ==,
                        ESP_EDECODE);
        snprintf(want, sizeof want, "its field %s cannot be read", rows[i].field);
        if (strstr(err.text, want) == NULL)
            g_test_fail_printf("row %zu: \"%s\" does not name %s", i, err.text, rows[i].field);
        esp_buf_release(&buf);
    }
}

static void refuse_manifest(const struct esp_snapshot_manifest_record *record, const char *field)
{
    struct esp_buf buf;
    struct esp_snapshot_manifest_record got;
    struct esp_error err = {0};
    encode_manifest(&buf, record);
    g_assert_cmpint(esp_decode_snapshot_manifest(esp_buf_bytes(&buf), &got, &err), ==, ESP_EDECODE);
    if (strstr(err.text, field) == NULL)
        g_test_fail_printf("\"%s\" does not name %s", err.text, field);
    g_assert_null(got.chunk_offsets);
    esp_buf_release(&buf);
}

static void test_manifest_ranges(void)
{
    struct esp_snapshot_manifest_record record = make_manifest();
    record.size = 2; /* three chunks hold three bytes at least */
    refuse_manifest(&record, "size");
    record.size = 3 * (uint64_t)ESP_CHUNK_MAX_BYTES + 1;
    refuse_manifest(&record, "size");
    struct esp_rewind_offset rewind = {esp_bytes_of("a"), 0, -1, 5};
    record = make_manifest();
    record.rewinds = &rewind;
    record.n_rewinds = 1;
    refuse_manifest(&record, "rewind");
    rewind.offset = -3;
    refuse_manifest(&record, "rewind");
    rewind.offset = 3;
    rewind.partition = -1;
    refuse_manifest(&record, "rewind");
    record = make_manifest();
    record.n_chunks = 0;
    refuse_manifest(&record, "chunk_offsets");
    record = make_manifest();
    record.chunk_partition = -1;
    refuse_manifest(&record, "chunk_partition");
    record = make_manifest();
    record.chunk_offsets = (int64_t[]){1, -1, 2};
    refuse_manifest(&record, "chunk_offsets");
}

/* Arrays may come in several blocks and with their sizes in bytes, as other writers have it; a
 * count that the record cannot hold is refused before memory is taken. */
static void test_blocks(void)
{
    struct esp_cursor cursor = esp_cursor(esp_bytes("\x03\x04\x02\x04\x02\x06\x00", 7));
    g_assert_cmpuint(esp_take_block(&cursor, "a"), ==, 2); /* -2 items of 2 bytes */
    g_assert_cmpint(esp_take_long(&cursor, "a"), ==, 1);
    g_assert_cmpint(esp_take_long(&cursor, "a"), ==, 2);
    g_assert_cmpuint(esp_take_block(&cursor, "a"), ==, 1);
    g_assert_cmpint(esp_take_long(&cursor, "a"), ==, 3);
    g_assert_cmpuint(esp_take_block(&cursor, "a"), ==, 0);
    g_assert_cmpint(esp_cursor_finish(&cursor, "test", NULL), ==, ESP_OK);
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\x08\x02\x02", 3},                                      /* four items in two bytes */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 11},     /* the least long there is */
        {"\x03\x08\x02\x02", 4},                                  /* a block longer than the rest */
        {"\x03\x01\x02\x02", 4},                                  /* of negative size */
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00", 12}, /* the largest */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        cursor = esp_cursor(esp_bytes(rows[i].bytes, rows[i].size));
        g_assert_cmpuint(esp_take_block(&cursor, "array"), ==, 0);
        g_assert_cmpstr(cursor.fault, ==, "array");
    }
}

static void test_scalars(void)
{
    static const uint8_t bytes[] = {0, 0, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 0x04, 0xc0, 1, 4, 2};
    struct esp_cursor cursor = esp_cursor(esp_bytes(bytes, sizeof bytes));
    g_assert_cmpfloat(esp_take_float(&cursor, "f"), ==, 1.5F);
    g_assert_cmpfloat(esp_take_double(&cursor, "d"), ==, -2.5);
    g_assert_true(esp_take_bool(&cursor, "b"));
    g_assert_cmpuint(esp_take_branch(&cursor, 3, "u"), ==, 2);
    g_assert_false(esp_take_bool(&cursor, "not a boolean"));
    g_assert_cmpint(esp_take_long(&cursor, "later"), ==, 0);
    g_assert_cmpstr(cursor.fault, ==, "not a boolean");
    cursor = esp_cursor(esp_bytes("\x06", 1));
    g_assert_cmpuint(esp_take_branch(&cursor, 3, "u"), ==, 0);
    g_assert_cmpstr(cursor.fault, ==, "u");
}

/* What another version wrote is told apart from what is broken. */
static void test_versions(void)
{
    struct esp_own_fingerprints own;
    struct esp_snapshot_chunk_record chunk = make_chunk(), got;
    struct esp_buf buf;
    struct esp_bytes bare;
    struct esp_error err = {0};
    g_assert_cmpint(esp_own_fingerprints_init(&own, &err), ==, ESP_OK);
    esp_buf_init(&buf, 1 << 20);
    esp_put_single_object(&buf, own.of[ESP_SCHEMA_SNAPSHOT_CHUNK], NULL);
    esp_encode_snapshot_chunk(&buf, &chunk, NULL);
    g_assert_cmpint(
        esp_own_unframe(&own, ESP_SCHEMA_SNAPSHOT_CHUNK, esp_buf_bytes(&buf), &bare, &err), ==,
        ESP_OK);
    g_assert_cmpint(esp_decode_snapshot_chunk(bare, &got, &err), ==, ESP_OK);
    g_assert_cmpint(
        esp_own_unframe(&own, ESP_SCHEMA_SNAPSHOT_MANIFEST, esp_buf_bytes(&buf), &bare, NULL), ==,
        ESP_ESCHEMA);
    g_assert_cmpint(
        esp_own_unframe(&own, ESP_SCHEMA_SNAPSHOT_CHUNK, esp_bytes(buf.data, 9), &bare, NULL), ==,
        ESP_EDECODE);
    buf.data[10] = 4; /* the version, 2 */
    bare = esp_bytes(buf.data + 10, buf.size - 10);
    g_assert_cmpint(esp_decode_snapshot_chunk(bare, &got, &err), ==, ESP_ESCHEMA);
    g_assert_nonnull(strstr(err.text, "version 2 is unknown"));
    esp_buf_release(&buf);
}

static void test_keys(void)
{
    const struct esp_snapshot_id id = {"0123456789abcdef", "my model-7", 42};
    struct esp_snapshot_id got;
    char key[ESP_SNAPSHOT_KEY_SIZE];
    int32_t index = 5;
    g_assert_cmpuint(esp_snapshot_key(&id, ESP_KEY_NO_INDEX, key), ==, strlen(key));
    g_assert_cmpstr(key, ==, "0123456789abcdef/my model-7/42");
    g_assert_true(esp_snapshot_key_parse(esp_bytes_of(key), &got, &index));
    g_assert_true(esp_snapshot_id_equal(&id, &got));
    g_assert_cmpint(index, ==, ESP_KEY_NO_INDEX);
    esp_snapshot_key(&id, 1048575, key);
    g_assert_cmpstr(key, ==, "0123456789abcdef/my model-7/42/1048575");
    g_assert_true(esp_snapshot_key_parse(esp_bytes_of(key), &got, &index));
    g_assert_cmpint(index, ==, 1048575);
    static const char *const bad[] = {
        "",
        "0123456789abcdef",
        "0123456789abcdef/m",
        "0123456789abcdef/m/",
        "0123456789abcdef/m/042",
        "0123456789abcdef/m/+4",
        "0123456789abcdef/m/-4",
        "0123456789abcdef/m/4 ",
        "0123456789abcdef/m/4/",
        "0123456789abcdef/m/4/1048576",
        "0123456789abcdef/m/4/-1",
        "0123456789abcdef/m/4/01",
        "0123456789abcdef/m/4/1/2",
        "0123456789abcdef//4",
        "0123456789abcdef/.m/4",
        "0123456789ABCDEF/m/4",
        "123456789abcdef/m/4",
        "0123456789abcdef/m/9223372036854775808",
        "0123456789abcdef/a-model-whose-name-has-four-and-sixty-bytes-which-is-one-too-many-x/4",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (esp_snapshot_key_parse(esp_bytes_of(bad[i]), &got, &index))
            g_test_fail_printf("\"%s\" is taken for a key", bad[i]);
    }
    g_assert_false(esp_snapshot_key_parse(esp_bytes("0123456789abcdef/m/4\0", 21), &got, &index));
}

/* The longest key fits. */
static void test_longest_key(void)
{
    struct esp_snapshot_id id = {.run = "ffffffffffffffff", .number = INT64_MAX}, got;
    char key[ESP_SNAPSHOT_KEY_SIZE];
    int32_t index;
    memset(id.model, 'm', sizeof id.model - 1);
    size_t n = esp_snapshot_key(&id, ESP_CHUNK_MAX_COUNT - 1, key);
    g_assert_cmpuint(n, ==, strlen(key));
    g_assert_true(esp_snapshot_key_parse(esp_bytes(key, n), &got, &index));
    g_assert_true(esp_snapshot_id_equal(&id, &got));
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/a chunk is read as it was written", test_chunk);
    g_test_add_func("/a manifest is read as it was written", test_manifest);
    g_test_add_func("/a manifest of version 1 has no points to read again from", test_version_1);
    g_test_add_func("/another implementation reads the manifest by its schema", test_oracle);
    g_test_add_func("/records that are cut short or go on are refused", test_truncated);
    g_test_add_func("/a chunk's field out of range is named", test_chunk_ranges);
    g_test_add_func("/a manifest's field out of range is named", test_manifest_ranges);
    g_test_add_func("/arrays come in blocks of any form", test_blocks);
    g_test_add_func("/a cursor stops at its first fault", test_scalars);
    g_test_add_func("/an unknown version is no broken record", test_versions);
    g_test_add_func("/a key says which record it is, in one way only", test_keys);
    g_test_add_func("/the longest key has room", test_longest_key);
    return g_test_run();
}
