/* store_helper.c - see store_helper.h. */
#include "store_helper.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/hash.h"

static bool fails(struct store_helper *helper)
{
    helper->n_calls++;
    bool is_now =
        helper->fail_at != 0 && (helper->n_calls == helper->fail_at ||
                                 (helper->fail_every != 0 && helper->n_calls > helper->fail_at &&
                                  (helper->n_calls - helper->fail_at) % helper->fail_every == 0));
    helper->n_failed += is_now;
    return is_now;
}

static GBytes *find(const struct store_helper *helper, uint64_t number)
{
    return g_hash_table_lookup(helper->files, &number);
}

static gpointer key_of(uint64_t number)
{
    uint64_t *key = g_new(uint64_t, 1);
    *key = number;
    return key;
}

static enum esp_status helper_write(void *context, uint64_t number, struct esp_bytes bytes,
                                    struct esp_error *err)
{
    struct store_helper *helper = context;
    if (fails(helper))
        return esp_fail(err, ESP_EIO, "call %lu: no space left on device", helper->n_calls);
    GBytes *there = find(helper, number);
    if (there != NULL) { /* it may be written again, but only as it is */
        gsize n;
        const void *data = g_bytes_get_data(there, &n);
        g_assert_true(esp_bytes_equal(esp_bytes(data, n), bytes));
        return ESP_OK;
    }
    g_hash_table_insert(helper->files, key_of(number), g_bytes_new(bytes.data, bytes.size));
    helper->n_written++;
    return ESP_OK;
}

static enum esp_status helper_sync(void *context, uint64_t number, struct esp_error *err)
{
    struct store_helper *helper = context;
    if (fails(helper))
        return esp_fail(err, ESP_EIO, "call %lu: fsync failed", helper->n_calls);
    if (number == 0) {
        helper->names_synced = true;
        return ESP_OK;
    }
    g_assert_nonnull(find(helper, number));
    g_hash_table_add(helper->synced, key_of(number));
    return ESP_OK;
}

static bool is_file(const struct store_helper *helper, const struct esp_segment_file *file)
{
    GBytes *bytes = find(helper, file->number);
    if (bytes == NULL || g_bytes_get_size(bytes) != file->n_bytes)
        return false;
    gsize n;
    const void *data = g_bytes_get_data(bytes, &n);
    return esp_hash(esp_bytes(data, n)) == file->checksum;
}

static enum esp_status helper_verify(void *context, const struct esp_segment_file *file,
                                     struct esp_error *err)
{
    struct store_helper *helper = context;
    if (fails(helper))
        return esp_fail(err, ESP_EIO, "call %lu: cannot be read", helper->n_calls);
    return is_file(helper, file)
               ? ESP_OK
               : esp_fail(err, ESP_EDATA, "segment %lu is missing or damaged", file->number);
}

static enum esp_status helper_map(void *context, const struct esp_segment_file *file,
                                  void **out_base, struct esp_error *err)
{
    struct store_helper *helper = context;
    if (fails(helper))
        return esp_fail(err, ESP_EIO, "call %lu: mmap failed", helper->n_calls);
    g_assert_true(is_file(helper, file));
    int fd = memfd_create("segment", MFD_CLOEXEC); /* pages may be let go of: not anonymous */
    ssize_t n = write(fd, g_bytes_get_data(find(helper, file->number), NULL), file->n_bytes);
    g_assert_cmpint(n, ==, file->n_bytes);
    void *base = mmap(NULL, file->n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    g_assert_true(base != MAP_FAILED);
    close(fd);
    *out_base = base;
    helper->n_mapped++;
    return ESP_OK;
}

static void helper_drop(void *context, uint64_t number)
{
    struct store_helper *helper = context;
    if (helper->is_killed)
        return;
    g_assert_nonnull(find(helper, number));
    g_hash_table_remove(helper->files, &number);
    g_hash_table_remove(helper->synced, &number);
    helper->n_dropped++;
}

void store_helper_init(struct store_helper *helper)
{
    *helper = (struct store_helper){
        .store = {.context = helper,
                  .first_number = 1,
                  .write = helper_write,
                  .sync = helper_sync,
                  .verify = helper_verify,
                  .map = helper_map,
                  .drop = helper_drop},
        .files = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                       (GDestroyNotify)g_bytes_unref),
        .synced = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
    };
}

void store_helper_clear(struct store_helper *helper)
{
    g_hash_table_destroy(helper->files);
    g_hash_table_destroy(helper->synced);
}

static gboolean is_unnamed(gpointer key, gpointer value, gpointer keep)
{
    (void)value;
    return esp_segment_list_find(keep, *(const uint64_t *)key) == NULL;
}

void store_helper_restart(struct store_helper *helper, const struct esp_segment_list *keep)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, helper->files);
    helper->store.first_number = 1;
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (*(const uint64_t *)key >= helper->store.first_number)
            helper->store.first_number = *(const uint64_t *)key + 1;
    g_hash_table_foreach_remove(helper->files, is_unnamed, (gpointer)keep);
    helper->is_killed = false;
}

bool store_helper_has(const struct store_helper *helper, const struct esp_segment_list *list,
                      bool synced)
{
    bool has = !synced || list->n == 0 || helper->names_synced;
    for (size_t i = 0; i < list->n; i++) {
        has = has && is_file(helper, &list->files[i]);
        has = has && (!synced || g_hash_table_contains(helper->synced, &list->files[i].number));
    }
    return has;
}
