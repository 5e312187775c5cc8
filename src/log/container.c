/* container.c - see container.h. Walks a file block by block; writes headers. */
#include "log/container.h"

#include "core/varint.h"
#include "log/container_parse.h"

enum {
    READ_BYTES = 512 << 10,  /* a read of the file; fits a core's second-level cache */
    SKIP_BYTES = 4 << 10,    /* where blocks are passed over: a marker and the next head */
    HEADER_BYTES = 64 << 10, /* first attempt at a header; doubles */
};

static const char unfinished_block[] = "the file ends in the middle of a block";

void esp_container_init(struct esp_container *container)
{
    *container = (struct esp_container){.window = {.fd = -1}};
    esp_buf_init(&container->schema, ESP_METADATA_MAX_BYTES);
}

void esp_container_release(struct esp_container *container)
{
    esp_window_release(&container->window);
    esp_buf_release(&container->schema);
}

void esp_container_start(struct esp_container *container, int fd, uint64_t limit,
                         int64_t first_offset)
{
    esp_window_reset(&container->window, fd, limit);
    container->at = 0;
    container->next_offset = first_offset;
    container->state = ESP_CONTAINER_HEADER;
    container->seek_to = 0;
    esp_buf_clear(&container->schema);
}

/* Passes over everything up to `to`. */
static enum esp_container_step pass_over(struct esp_container *container, uint64_t to,
                                         const char *why, struct esp_container_block *block)
{
    block->why = why;
    block->n_skipped = to - container->at;
    container->at = to;
    return ESP_STEP_DAMAGE;
}

static enum esp_container_step refuse_file(struct esp_container *container, const char *why,
                                           struct esp_container_block *block)
{
    container->state = ESP_CONTAINER_FOREIGN;
    return pass_over(container, container->window.limit, why, block);
}

/* The header was read: from there to the place that is wanted, if a block ended before it. */
static enum esp_status seek(struct esp_container *container, struct esp_error *err)
{
    uint64_t to = container->seek_to;
    struct esp_bytes marker = esp_bytes(NULL, 0);
    if (to <= container->at)
        return ESP_OK;
    if (to > container->window.limit)
        return esp_fail(err, ESP_EDATA, "it has %llu bytes, and %llu of it were read before",
                        (unsigned long long)container->window.limit, (unsigned long long)to);
    container->window.min_bytes = SKIP_BYTES;
    enum esp_status status =
        esp_window_view(&container->window, to - ESP_SYNC_BYTES, ESP_SYNC_BYTES, &marker, err);
    if (status != ESP_OK)
        return status;
    if (marker.size < ESP_SYNC_BYTES || memcmp(marker.data, container->sync, ESP_SYNC_BYTES) != 0)
        return esp_fail(err, ESP_EDATA, "no block ends after its first %llu bytes",
                        (unsigned long long)to);
    container->at = to;
    return ESP_OK;
}

/* Takes over what the window is about to forget. */
static enum esp_status keep_header(struct esp_container *container,
                                   const struct esp_container_header *header, struct esp_error *err)
{
    enum esp_status status =
        esp_buf_append(&container->schema, header->schema.data, header->schema.size, err);
    if (status != ESP_OK)
        return status;
    memcpy(container->sync, header->sync, ESP_SYNC_BYTES);
    container->at = header->n_bytes;
    container->state = ESP_CONTAINER_BLOCKS;
    return seek(container, err);
}

/* Leaves the state at HEADER if the header may still grow. */
static enum esp_status read_header(struct esp_container *container, bool may_grow,
                                   enum esp_container_step *out_step,
                                   struct esp_container_block *block, struct esp_error *err)
{
    for (size_t wanted = HEADER_BYTES;; wanted *= 2) {
        struct esp_bytes bytes;
        struct esp_container_header header;
        const char *why = NULL;
        enum esp_status status = esp_window_view(&container->window, 0, wanted, &bytes, err);
        if (status != ESP_OK)
            return status;
        enum esp_parse parse = esp_parse_header(bytes, &header, &why);
        if (parse == ESP_PARSE_SHORT && bytes.size < wanted) {
            *out_step = may_grow ? ESP_STEP_PARTIAL
                                 : refuse_file(container, "the file ends within its header", block);
            return ESP_OK;
        }
        if (parse == ESP_PARSE_SHORT && wanted < ESP_METADATA_MAX_BYTES)
            continue;
        if (parse == ESP_PARSE_OK && esp_codec_find(header.codec, &container->codec, &why))
            return keep_header(container, &header, err);
        *out_step = refuse_file(container, why, block);
        return ESP_OK;
    }
}

/* Looks for the next marker from `at` on, and goes on behind it. */
static enum esp_status search(struct esp_container *container, bool may_grow, const char *why,
                              enum esp_container_step *out_step, struct esp_container_block *block,
                              struct esp_error *err)
{
    container->state = ESP_CONTAINER_SEARCHING;
    container->window.min_bytes = READ_BYTES;
    uint64_t from = container->at;
    for (;;) {
        struct esp_bytes bytes;
        enum esp_status status = esp_window_view(&container->window, from, READ_BYTES, &bytes, err);
        if (status != ESP_OK)
            return status;
        const uint8_t *found =
            bytes.size == 0 ? NULL
                            : memmem(bytes.data, bytes.size, container->sync, ESP_SYNC_BYTES);
        if (found != NULL) {
            container->state = ESP_CONTAINER_BLOCKS;
            uint64_t behind = from + (uint64_t)(found - bytes.data) + ESP_SYNC_BYTES;
            *out_step = pass_over(container, behind, why, block);
            return ESP_OK;
        }
        if (from + bytes.size >= container->window.limit)
            break;
        from += bytes.size - (ESP_SYNC_BYTES - 1);
    }
    /* The tail may be the beginning of a marker that is still being written. */
    uint64_t to = container->window.limit;
    if (may_grow)
        to = to - container->at < ESP_SYNC_BYTES ? container->at : to - (ESP_SYNC_BYTES - 1);
    if (to > container->at)
        *out_step = pass_over(container, to, why, block);
    else
        *out_step = may_grow ? ESP_STEP_PARTIAL : ESP_STEP_END;
    return ESP_OK;
}

/* A block's head at `at`. PARSE_SHORT also if the block would end beyond the file. */
static enum esp_status view_head(struct esp_container *container, struct esp_container_block *block,
                                 size_t *head_bytes, enum esp_parse *out_parse,
                                 struct esp_error *err)
{
    struct esp_bytes bytes;
    enum esp_status status =
        esp_window_view(&container->window, container->at, ESP_BLOCK_HEAD_MAX, &bytes, err);
    if (status != ESP_OK)
        return status;
    *out_parse =
        esp_parse_block_head(bytes, &block->n_records, &block->n_stored, head_bytes, &block->why);
    if (*out_parse == ESP_PARSE_OK &&
        *head_bytes + block->n_stored + ESP_SYNC_BYTES > container->window.limit - container->at)
        *out_parse = ESP_PARSE_SHORT;
    return ESP_OK;
}

/* Views a block's bytes (none of them if it is passed over) and its marker; *out_marker is NULL if
 * the file has become shorter meanwhile. */
static enum esp_status view_body(struct esp_container *container, size_t head_bytes, bool skip,
                                 struct esp_container_block *block, const uint8_t **out_marker,
                                 struct esp_error *err)
{
    size_t n_before = head_bytes + block->n_stored;
    size_t n_unseen = skip ? n_before : 0;
    size_t wanted = n_before - n_unseen + ESP_SYNC_BYTES;
    struct esp_bytes bytes;
    enum esp_status status =
        esp_window_view(&container->window, container->at + n_unseen, wanted, &bytes, err);
    if (status != ESP_OK)
        return status;
    *out_marker = bytes.size < wanted ? NULL : bytes.data + n_before - n_unseen;
    if (!skip && *out_marker != NULL)
        block->stored = esp_bytes(bytes.data + head_bytes, block->n_stored);
    return ESP_OK;
}

static enum esp_status next_block(struct esp_container *container, bool may_grow, int64_t skip_to,
                                  enum esp_container_step *out_step,
                                  struct esp_container_block *block, struct esp_error *err)
{
    size_t head_bytes = 0;
    enum esp_parse parse = ESP_PARSE_OK;
    const uint8_t *marker = NULL;
    container->window.min_bytes = skip_to > container->next_offset ? SKIP_BYTES : READ_BYTES;
    enum esp_status status = view_head(container, block, &head_bytes, &parse, err);
    if (status == ESP_OK && parse == ESP_PARSE_OK) {
        /* No records, but bytes: not passed over unseen, for that is damage. */
        bool skip = block->n_records > 0 ? skip_to - container->next_offset >= block->n_records
                                         : block->n_stored == 0;
        status = view_body(container, head_bytes, skip, block, &marker, err);
    }
    if (status != ESP_OK)
        return status;
    if (parse == ESP_PARSE_BAD)
        return search(container, may_grow, block->why, out_step, block, err);
    if (parse == ESP_PARSE_SHORT || marker == NULL) {
        if (!may_grow)
            return search(container, false, unfinished_block, out_step, block, err);
        *out_step = ESP_STEP_PARTIAL;
        return ESP_OK;
    }
    if (memcmp(marker, container->sync, ESP_SYNC_BYTES) != 0)
        return search(container, may_grow, "a block does not end in the file's sync marker",
                      out_step, block, err);
    block->first_offset = container->next_offset;
    container->next_offset += block->n_records;
    container->at += head_bytes + block->n_stored + ESP_SYNC_BYTES;
    *out_step = ESP_STEP_BLOCK;
    return ESP_OK;
}

enum esp_status esp_container_next(struct esp_container *container, bool may_grow, int64_t skip_to,
                                   enum esp_container_step *out_step,
                                   struct esp_container_block *block, struct esp_error *err)
{
    *block = (struct esp_container_block){.n_records = 0};
    *out_step = ESP_STEP_END;
    if (container->state == ESP_CONTAINER_HEADER) {
        container->window.min_bytes = skip_to > container->next_offset ? SKIP_BYTES : READ_BYTES;
        enum esp_status status = read_header(container, may_grow, out_step, block, err);
        if (status != ESP_OK || container->state != ESP_CONTAINER_BLOCKS)
            return status;
    }
    if (container->at >= container->window.limit)
        return ESP_OK;
    switch (container->state) {
    case ESP_CONTAINER_FOREIGN:
        *out_step = refuse_file(container, "more of a file that is not used", block);
        return ESP_OK;
    case ESP_CONTAINER_SEARCHING:
        return search(container, may_grow, "more of a damaged part", out_step, block, err);
    default:
        return next_block(container, may_grow, skip_to, out_step, block, err);
    }
}

static enum esp_status put_text(struct esp_buf *buf, struct esp_bytes text, struct esp_error *err)
{
    uint8_t size[10];
    enum esp_status status =
        esp_buf_append(buf, size, esp_varint_put((int64_t)text.size, size), err);
    return status != ESP_OK ? status : esp_buf_append(buf, text.data, text.size, err);
}

enum esp_status esp_container_put_header(struct esp_buf *buf, struct esp_bytes schema,
                                         enum esp_codec_id codec,
                                         const uint8_t sync[ESP_SYNC_BYTES], struct esp_error *err)
{
    static const uint8_t head[] = {'O', 'b', 'j', 1, 4 /* two pairs */}, end_of_map[] = {0};
    const struct esp_bytes parts[] = {esp_bytes_of("avro.codec"),
                                      esp_bytes_of(esp_codec_name(codec)),
                                      esp_bytes_of("avro.schema"), schema};
    enum esp_status status = esp_buf_append(buf, head, sizeof head, err);
    for (size_t i = 0; status == ESP_OK && i < sizeof parts / sizeof *parts; i++)
        status = put_text(buf, parts[i], err);
    if (status == ESP_OK)
        status = esp_buf_append(buf, end_of_map, sizeof end_of_map, err);
    return status != ESP_OK ? status : esp_buf_append(buf, sync, ESP_SYNC_BYTES, err);
}

size_t esp_container_put_block_head(uint8_t head[ESP_BLOCK_HEAD_MAX], int64_t n_records,
                                    size_t n_bytes)
{
    size_t n = esp_varint_put(n_records, head);
    return n + esp_varint_put((int64_t)n_bytes, head + n);
}
