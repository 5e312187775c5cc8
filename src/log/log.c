/* log.c - checks arguments and hands each call to the implementation that made the object. */
#include "log/log.h"

#include <stdarg.h>
#include <time.h>

#include "log/log_ops.h"

enum { TOPIC_MAX = 249, LINE_SIZE = 1024 };

void esp_log_say(const struct esp_log *log, enum esp_level_hint level, const char *format, ...)
{
    if (log->report == NULL)
        return;
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    log->report(log->report_context, &(struct esp_log_event){level, line});
}

enum esp_status esp_log_fail_gap(const char *topic, size_t partition, int64_t wanted, int64_t first,
                                 int64_t end, struct esp_error *err)
{
    long long want = wanted, has = first, ends = end;
    if (wanted < first)
        return esp_fail(err, ESP_EDATA,
                        "topic %s, partition %zu: offset %lld is wanted, but the first that is "
                        "still there is %lld: %lld records are gone",
                        topic, partition, want, has, has - want);
    if (wanted > end)
        return esp_fail(err, ESP_EDATA,
                        "topic %s, partition %zu: offset %lld is beyond the end, %lld: the topic "
                        "was cut off, or made anew",
                        topic, partition, want, ends);
    return esp_fail(err, ESP_EDATA,
                    "topic %s, partition %zu: offset %lld is refused, though there are %lld to "
                    "%lld",
                    topic, partition, want, has, ends);
}

int64_t esp_log_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * ESP_SECOND + now.tv_nsec / 1000;
}

/* Kafka's own rule, which also keeps a topic's folder inside its root. */
static enum esp_status check_topic(const char *topic, struct esp_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    size_t n = topic == NULL ? 0 : strlen(topic);
    if (n == 0 || n > TOPIC_MAX || strspn(topic, allowed) != n || strcmp(topic, ".") == 0 ||
        strcmp(topic, "..") == 0)
        return esp_fail(err, ESP_ECONFIG,
                        "topic name '%.300s' is not one: 1 to %d of A-Z a-z 0-9 . _ -",
                        topic == NULL ? "" : topic, TOPIC_MAX);
    return ESP_OK;
}

void esp_log_free(struct esp_log *log)
{
    if (log != NULL)
        log->ops->free(log);
}

void esp_log_set_stop(struct esp_log *log, esp_log_time_left *time_left, void *context)
{
    log->time_left = time_left;
    log->stop_context = context;
}

bool esp_log_stops(const struct esp_log *log)
{
    return esp_log_left_us(log) != INT64_MAX;
}

int64_t esp_log_left_us(const struct esp_log *log)
{
    return log->time_left == NULL ? INT64_MAX : log->time_left(log->stop_context);
}

const char *esp_log_kind(const struct esp_log *log)
{
    return log->ops->kind;
}

enum esp_status esp_log_partitions(struct esp_log *log, const char *topic, int64_t timeout_us,
                                   size_t *out_n, struct esp_error *err)
{
    enum esp_status status = check_topic(topic, err);
    return status != ESP_OK ? status : log->ops->partitions(log, topic, timeout_us, out_n, err);
}

enum esp_status esp_log_create_topic(struct esp_log *log, const char *topic, size_t n_partitions,
                                     const char *const *config, struct esp_error *err)
{
    enum esp_status status = check_topic(topic, err);
    if (status != ESP_OK)
        return status;
    if (n_partitions == 0 || n_partitions > ESP_LOG_MAX_PARTITIONS)
        return esp_fail(err, ESP_EINVAL, "topic %s: %zu partitions, want 1 to %d", topic,
                        n_partitions, ESP_LOG_MAX_PARTITIONS);
    return log->ops->create_topic(log, topic, n_partitions, config, err);
}

enum esp_status esp_log_topic_properties(struct esp_log *log, const char *topic,
                                         struct esp_topic_property *properties, size_t n,
                                         struct esp_error *err)
{
    enum esp_status status = check_topic(topic, err);
    return status != ESP_OK ? status : log->ops->topic_properties(log, topic, properties, n, err);
}

static enum esp_status check_partition(const char *topic, size_t partition, struct esp_error *err)
{
    enum esp_status status = check_topic(topic, err);
    if (status == ESP_OK && partition >= ESP_LOG_MAX_PARTITIONS)
        return esp_fail(err, ESP_EINVAL, "%s: partition %zu", topic, partition);
    return status;
}

enum esp_status esp_log_bounds(struct esp_log *log, const char *topic, size_t partition,
                               int64_t *out_first, int64_t *out_end, struct esp_error *err)
{
    enum esp_status status = check_partition(topic, partition, err);
    return status != ESP_OK ? status
                            : log->ops->bounds(log, topic, partition, out_first, out_end, err);
}

enum esp_status esp_log_cut_back(struct esp_log *log, const char *topic, size_t partition,
                                 const struct esp_log_mark *mark, struct esp_error *err)
{
    enum esp_status status = check_partition(topic, partition, err);
    return status != ESP_OK ? status : log->ops->cut_back(log, topic, partition, mark, err);
}

enum esp_status esp_log_reader_new_at(struct esp_log *log, const char *topic, size_t partition,
                                      const struct esp_log_place *place, bool follow,
                                      const struct esp_log_framer *framer,
                                      struct esp_log_reader **out, struct esp_error *err)
{
    enum esp_status status = check_partition(topic, partition, err);
    if (status != ESP_OK)
        return status;
    if (place->offset < 0 && place->offset != ESP_OFFSET_EARLIEST)
        return esp_fail(err, ESP_EINVAL, "%s [%zu]: offset %lld", topic, partition,
                        (long long)place->offset);
    return log->ops->reader_new(log, topic, partition, place, follow, framer, out, err);
}

enum esp_status esp_log_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                   int64_t offset, bool follow, const struct esp_log_framer *framer,
                                   struct esp_log_reader **out, struct esp_error *err)
{
    struct esp_log_place place = esp_log_place_at(offset);
    return esp_log_reader_new_at(log, topic, partition, &place, follow, framer, out, err);
}

void esp_log_reader_place(const struct esp_log_reader *reader, struct esp_log_place *out)
{
    *out = (struct esp_log_place){.offset = 0};
    reader->ops->place(reader, out);
}

void esp_log_place_archive(struct esp_archive *archive, struct esp_log_place *place)
{
    size_t n = strnlen(place->file, sizeof place->file);
    esp_archive_i64(archive, &place->offset);
    esp_archive_count(archive, &n, 1);
    if (!esp_archive_check(archive,
                           n < sizeof place->file &&
                               (place->offset >= 0 || place->offset == ESP_OFFSET_EARLIEST),
                           "where an input stood"))
        return;
    if (esp_archive_reads(archive))
        memset(place->file, 0, sizeof place->file);
    esp_archive_bytes(archive, place->file, n);
    esp_archive_u32(archive, &place->n_before);
    esp_archive_u64(archive, &place->at);
    esp_archive_i64(archive, &place->first);
    esp_archive_u64(archive, &place->last);
    esp_archive_check(archive,
                      strlen(place->file) == n && strchr(place->file, '/') == NULL &&
                          place->first >= 0 && place->at <= INT64_MAX,
                      "where an input stood");
}

void esp_log_reader_free(struct esp_log_reader *reader)
{
    if (reader != NULL)
        reader->ops->free(reader);
}

enum esp_status esp_log_read(struct esp_log_reader *reader, struct esp_record *records,
                             size_t capacity, int64_t timeout_us, size_t *out_n,
                             enum esp_log_position *out_position, struct esp_error *err)
{
    *out_n = 0;
    *out_position = ESP_LOG_MORE;
    if (capacity == 0)
        return esp_fail(err, ESP_EINVAL, "a read of no records");
    return reader->ops->read(reader, records, capacity, timeout_us, out_n, out_position, err);
}

void esp_log_reader_stats(const struct esp_log_reader *reader, struct esp_log_reader_stats *out)
{
    reader->ops->stats(reader, out);
}

void esp_log_commit(struct esp_log_reader *reader)
{
    reader->ops->commit(reader);
}

enum esp_status esp_log_writer_new(struct esp_log *log, const struct esp_log_writer_config *config,
                                   struct esp_log_writer **out, struct esp_error *err)
{
    enum esp_status status = check_topic(config->topic, err);
    return status != ESP_OK ? status : log->ops->writer_new(log, config, out, err);
}

void esp_log_writer_free(struct esp_log_writer *writer)
{
    if (writer != NULL)
        writer->ops->free(writer);
}

enum esp_status esp_log_append(struct esp_log_writer *writer, int32_t partition,
                               struct esp_bytes key, struct esp_bytes value, int64_t log_time_us,
                               struct esp_error *err)
{
    return writer->ops->append(writer, partition, key, value, log_time_us, NULL, err);
}

enum esp_status esp_log_append_tracked(struct esp_log_writer *writer, int32_t partition,
                                       struct esp_bytes key, struct esp_bytes value,
                                       int64_t log_time_us, int64_t *offset, struct esp_error *err)
{
    *offset = -1;
    return writer->ops->append(writer, partition, key, value, log_time_us, offset, err);
}

enum esp_status esp_log_wait(struct esp_log_writer *writer, int64_t timeout_us, bool *out_done,
                             struct esp_error *err)
{
    *out_done = false;
    return writer->ops->wait(writer, timeout_us, out_done, err);
}

enum esp_status esp_log_flush(struct esp_log_writer *writer, int64_t timeout_us,
                              struct esp_error *err)
{
    return writer->ops->flush(writer, timeout_us, err);
}

enum esp_status esp_log_fence(struct esp_log_writer *writer, uint64_t *out_fence,
                              struct esp_error *err)
{
    return writer->ops->fence(writer, out_fence, err);
}

enum esp_status esp_log_settled(struct esp_log_writer *writer, uint64_t fence, bool *out_done,
                                struct esp_error *err)
{
    *out_done = false;
    return writer->ops->settled(writer, fence, out_done, err);
}

bool esp_log_writer_mark(const struct esp_log_writer *writer, size_t partition,
                         struct esp_log_mark *mark)
{
    return writer->ops->mark(writer, partition, mark);
}

void esp_log_writer_archive(struct esp_archive *archive, struct esp_log_writer *writer)
{
    writer->ops->archive(archive, writer);
}
