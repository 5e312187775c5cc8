/*
 * files_reader.c - reads one partition's container files, in order, as one sequence of records.
 *
 * A file is walked block by block (container.h); a block is decoded if it is compressed, and
 * delimited with the lent framer. Records of uncompressed blocks point into the read buffer.
 *
 * What can go wrong with a file never ends the reading. It is reported with the file's name, once
 * a file and again in sum when the file is left; its bytes are counted, and reading goes on with
 * the next block that can be found, else with the next file:
 *
 *      foreign, torn or refused header      the whole file
 *      broken block                         up to behind the next sync marker
 *      block that does not decode           its bytes as stored
 *      record that cannot be delimited      the rest of its block, decoded
 *
 * INVARIANTS
 *  (1) Offsets of records given never fall; each is at least `position`.
 *  (2) files[0 .. next_file) of the folder are done or current; files behind are untouched.
 *  (3) A bounded reader never looks at bytes that were not there when it was opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/container.h"
#include "log/files_log.h"
#include "log/folder.h"

enum { LOOK_AGAIN_MS = 20 }; /* between looks for growth, while a caller waits */

struct files_reader {
    struct esp_log_reader reader;
    const struct esp_files_log *files;
    const struct esp_log_framer *framer;
    char *path; /* of the partition's folder, owned */
    bool follow;
    struct esp_folder folder;
    size_t next_file;
    char *name; /* of the current file, owned; NULL: none is open */
    int fd;
    bool has_opened; /* a file, at some time: files[next_file - 1] is the last one that was */
    struct esp_container container;
    uint64_t block_at;   /* where the current block begins in its file, */
    int64_t block_first; /* and the offset of its first record */
    uint64_t good_at;    /* the same of what follows the last block that was believed */
    int64_t good_first;
    const void *schema;       /* what the framer gave for the current file; NULL: not asked yet */
    bool is_refused;          /* by the framer */
    uint64_t n_damages;       /* of the current file */
    uint64_t n_damaged_bytes; /* of the current file */
    struct esp_codec codec;
    struct esp_buf decoded;
    struct esp_bytes block; /* what is left of the current block */
    int64_t block_left;     /* records in it */
    int64_t block_offset;   /* of the first of them */
    int64_t position;       /* offset of the next record to give */
    int64_t wanted;         /* the offset to begin with, until it was reached; else -1 */
    bool is_file_gone;      /* the one that held it: no later one may begin behind it */
    struct esp_log_reader_stats stats;
};

enum advance {
    ADVANCE_ON,    /* something was done */
    ADVANCE_IDLE,  /* nothing is there yet */
    ADVANCE_ENDED, /* nothing is left */
};

static void note_damage(struct files_reader *reader, uint64_t n_bytes, const char *why)
{
    reader->stats.skipped_bytes += n_bytes;
    reader->n_damaged_bytes += n_bytes;
    if (reader->n_damages++ > 0)
        return;
    reader->stats.damaged_files++;
    esp_log_say(&reader->files->log, ESP_LOG_PROBLEM, "%s/%s: %s; %llu bytes passed over",
                reader->path, reader->name, why, (unsigned long long)n_bytes);
}

static void close_file(struct files_reader *reader)
{
    if (reader->name == NULL)
        return;
    if (reader->n_damages > 1)
        esp_log_say(&reader->files->log, ESP_LOG_PROBLEM,
                    "%s/%s: damaged in %llu places; %llu bytes passed over in all", reader->path,
                    reader->name, (unsigned long long)reader->n_damages,
                    (unsigned long long)reader->n_damaged_bytes);
    close(reader->fd);
    free(reader->name);
    reader->fd = -1;
    reader->name = NULL;
}

static void files_reader_free(struct esp_log_reader *base)
{
    struct files_reader *reader = (struct files_reader *)base;
    close_file(reader);
    esp_folder_release(&reader->folder);
    esp_container_release(&reader->container);
    esp_codec_release(&reader->codec);
    esp_buf_release(&reader->decoded);
    free(reader->path);
    free(reader);
}

/* Where the records of a file begin: as its name tells, else behind those before it. */
static int64_t base_offset(struct files_reader *reader, const struct esp_folder_file *file)
{
    int64_t reached = reader->container.next_offset;
    if (file->first_offset < 0)
        return reached;
    if (file->first_offset < reached && reached > reader->wanted)
        esp_log_say(&reader->files->log, ESP_LOG_PROBLEM,
                    "%s/%s: begins with offset %lld, but the files before it end at %lld; what "
                    "overlaps is passed over",
                    reader->path, file->name, (long long)file->first_offset, (long long)reached);
    return file->first_offset;
}

/* The offset that is wanted was in files that were removed. */
static enum esp_status fail_gap(const struct files_reader *reader,
                                const struct esp_folder_file *file, struct esp_error *err)
{
    long long wanted = reader->wanted, first = file->first_offset;
    return esp_fail(err, ESP_EDATA,
                    "%s: offset %lld is wanted, but the first file that is still there, %s, begins "
                    "with %lld: %lld records are gone",
                    reader->path, wanted, file->name, first, first - wanted);
}

static enum esp_status open_file(struct files_reader *reader, struct esp_error *err)
{
    const struct esp_folder_file *file = &reader->folder.files[reader->next_file];
    enum esp_status status = ESP_OK;
    if (reader->is_file_gone && reader->position == reader->wanted &&
        file->first_offset > reader->wanted)
        return fail_gap(reader, file, err);
    char *path = NULL;
    struct stat info;
    reader->name = strdup(file->name);
    if (reader->name == NULL || asprintf(&path, "%s/%s", reader->path, file->name) < 0) {
        free(reader->name);
        reader->name = NULL;
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    }
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &info) != 0) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
        goto out;
    }
    posix_fadvise(reader->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    uint64_t limit = reader->follow ? (uint64_t)info.st_size : file->size;
    esp_container_start(&reader->container, reader->fd, limit, base_offset(reader, file));
    reader->has_opened = true;
    reader->good_at = 0;
    reader->good_first = reader->container.next_offset;
    reader->schema = NULL;
    reader->is_refused = false;
    reader->n_damages = 0;
    reader->n_damaged_bytes = 0;
    reader->next_file++;
out:
    if (status != ESP_OK) {
        if (reader->fd >= 0)
            close(reader->fd);
        free(reader->name);
        reader->fd = -1;
        reader->name = NULL;
    }
    free(path);
    return status;
}

/* Lists the folder again, and reports files that came to stand before the position. */
static enum esp_status relist(struct files_reader *reader, const char *reached,
                              struct esp_error *err)
{
    struct esp_folder folder = {NULL, 0, 0};
    enum esp_status status = esp_folder_list(reader->path, &folder, err);
    if (status != ESP_OK) {
        esp_folder_release(&folder);
        return status;
    }
    size_t next = reached == NULL ? 0 : esp_folder_after(&folder, reached);
    for (size_t i = 0; i < next; i++) {
        const char *name = folder.files[i].name;
        size_t after = esp_folder_after(&reader->folder, name);
        if (after == 0 || strcmp(reader->folder.files[after - 1].name, name) != 0)
            esp_log_say(&reader->files->log, ESP_LOG_PROBLEM,
                        "%s/%s: appeared before a file that is read already; it is not read",
                        reader->path, name);
    }
    esp_folder_release(&reader->folder);
    reader->folder = folder;
    reader->next_file = next;
    return ESP_OK;
}

/* The current file has given all that it holds: looks for growth, for a next file, for neither. */
static enum esp_status at_file_end(struct files_reader *reader, bool may_grow, enum advance *out,
                                   struct esp_error *err)
{
    *out = ADVANCE_ON;
    if (!may_grow) {
        int64_t reached = reader->container.next_offset;
        reader->position = reader->position > reached ? reader->position : reached;
        close_file(reader);
        return ESP_OK;
    }
    /* The folder first: a writer finishes a file before it begins the next one, so a file that has
     * not grown although there is a next one, is finished. */
    enum esp_status status = relist(reader, reader->name, err);
    if (status != ESP_OK)
        return status;
    struct stat info;
    if (fstat(reader->fd, &info) != 0)
        return esp_fail(err, ESP_EIO, "%s/%s: %s", reader->path, reader->name, strerror(errno));
    bool has_grown = (uint64_t)info.st_size > reader->container.window.limit;
    if (has_grown)
        esp_container_grow(&reader->container, (uint64_t)info.st_size);
    if (!has_grown && reader->next_file == reader->folder.n)
        *out = ADVANCE_IDLE;
    return ESP_OK;
}

/* Asks the framer about the file's schema, at its first block. */
static enum esp_status ask_framer(struct files_reader *reader, struct esp_error *err)
{
    struct esp_error refusal = {0};
    enum esp_status status =
        reader->framer->open(reader->framer->context, (const char *)reader->container.schema.data,
                             reader->container.schema.size, &reader->schema, &refusal);
    if (status == ESP_OK)
        return ESP_OK;
    if (status == ESP_ENOMEM)
        return esp_fail(err, status, "%s", refusal.text);
    reader->is_refused = true;
    note_damage(reader, reader->container.window.limit, refusal.text);
    return ESP_OK;
}

/* Makes a block's records the next ones to give. */
static enum esp_status begin_block(struct files_reader *reader,
                                   const struct esp_container_block *block, struct esp_error *err)
{
    if (reader->schema == NULL && !reader->is_refused) {
        enum esp_status status = ask_framer(reader, err);
        if (status != ESP_OK)
            return status;
    }
    if (reader->is_refused || block->stored.data == NULL)
        return ESP_OK;
    reader->block = block->stored;
    if (reader->container.codec != ESP_CODEC_NULL) {
        const char *why = NULL;
        enum esp_status status = esp_codec_decode(&reader->codec, reader->container.codec,
                                                  block->stored, &reader->decoded, &why, err);
        if (status == ESP_EDATA) {
            note_damage(reader, block->n_stored, why);
            return ESP_OK;
        }
        if (status != ESP_OK)
            return status;
        reader->block = esp_buf_bytes(&reader->decoded);
    }
    reader->block_left = block->n_records;
    reader->block_offset = reader->block_first = block->first_offset;
    return ESP_OK;
}

/* One step: a next block, file or finding. */
static enum esp_status advance(struct files_reader *reader, enum advance *out,
                               struct esp_error *err)
{
    *out = ADVANCE_ON;
    if (reader->name == NULL && reader->next_file < reader->folder.n)
        return open_file(reader, err);
    if (reader->name == NULL) {
        enum esp_status listed = reader->follow ? relist(reader, NULL, err) : ESP_OK;
        if (reader->next_file == reader->folder.n)
            *out = reader->follow ? ADVANCE_IDLE : ADVANCE_ENDED;
        return listed;
    }
    bool may_grow = reader->follow && reader->next_file == reader->folder.n;
    enum esp_container_step step;
    struct esp_container_block block;
    struct esp_error cause = {0};
    reader->block_at = reader->container.at; /* unless this is the header's step */
    enum esp_status status = esp_container_next(&reader->container, may_grow,
                                                reader->is_refused ? INT64_MAX : reader->position,
                                                &step, &block, &cause);
    if (status != ESP_OK)
        return esp_fail(err, status, "%s/%s: %s", reader->path, reader->name, cause.text);
    switch (step) {
    case ESP_STEP_BLOCK:
        if (reader->block_at == 0)
            reader->block_at = reader->good_at;
        reader->good_at = reader->container.at;
        reader->good_first = reader->container.next_offset;
        return begin_block(reader, &block, err);
    case ESP_STEP_DAMAGE:
        if (!reader->is_refused)
            note_damage(reader, block.n_skipped, block.why);
        return ESP_OK;
    default:
        return at_file_end(reader, may_grow, out, err);
    }
}

/*
 * The current block does not hold what it says: `left` records more, from this offset on, in its
 * remaining bytes. A record takes a byte at least, so a number beyond that is a lie, and would
 * move every later offset: then the records that were there count.
 */
static void give_up_block(struct files_reader *reader, int64_t left, int64_t offset,
                          const char *what)
{
    char why[128];
    snprintf(why, sizeof why, "%s (offset %lld)", what, (long long)offset);
    note_damage(reader, reader->block.size, why);
    if ((uint64_t)left > reader->block.size)
        reader->container.next_offset -= left;
    reader->block_offset = reader->good_first = reader->container.next_offset;
    reader->block_left = 0;
    reader->block.size = 0;
}

/* Delimits records of the current block. Returns how many were put into records. */
static size_t take_records(struct files_reader *reader, struct esp_record *records, size_t capacity)
{
    const struct esp_log_framer *framer = reader->framer;
    const void *schema = reader->schema;
    struct esp_bytes rest = reader->block;
    int64_t left = reader->block_left, offset = reader->block_offset;
    size_t n = 0;
    const char *why = NULL;
    while (n < capacity && left > 0) {
        ptrdiff_t size = framer->skip(schema, rest);
        if (size <= 0 || (size_t)size > rest.size) {
            why = rest.size == 0 ? "a block has fewer records than it says"
                                 : "a record does not match the file's schema";
            break;
        }
        if (offset >= reader->position)
            records[n++] = (struct esp_record){.value = {rest.data, (size_t)size},
                                               .offset = offset,
                                               .log_time_us = ESP_TIME_NONE,
                                               .schema = schema};
        rest = esp_bytes(rest.data + size, rest.size - (size_t)size);
        offset++;
        left--;
    }
    reader->stats.bytes += reader->block.size - rest.size;
    reader->block = rest;
    reader->block_left = left;
    reader->block_offset = offset;
    if (why == NULL && left == 0 && rest.size > 0)
        why = "bytes follow the last record of a block";
    if (why != NULL)
        give_up_block(reader, left, offset, why);
    reader->stats.records += n;
    if (reader->position < reader->block_offset)
        reader->position = reader->block_offset;
    return n;
}

/* The end was reached, for now or for good. */
static enum esp_status check_end(struct files_reader *reader, struct esp_error *err)
{
    int64_t reached = reader->container.next_offset;
    if (reader->wanted > reached)
        return esp_fail(err, ESP_EDATA,
                        "%s: offset %lld is wanted, but its files end at %lld: files were removed "
                        "or replaced",
                        reader->path, (long long)reader->wanted, (long long)reached);
    reader->wanted = -1;
    reader->stats.end_offset = reader->position;
    return ESP_OK;
}

/* Waits a little, not beyond the deadline. Returns false once that has passed. */
static bool wait_for_growth(int64_t deadline_us)
{
    int64_t left_us = deadline_us - esp_log_now_us();
    if (left_us <= 0)
        return false;
    int64_t left_ms = (left_us + 999) / 1000;
    poll(NULL, 0, left_ms < LOOK_AGAIN_MS ? (int)left_ms : LOOK_AGAIN_MS);
    return true;
}

static enum esp_status files_reader_read(struct esp_log_reader *base, struct esp_record *records,
                                         size_t capacity, int64_t timeout_us, size_t *out_n,
                                         enum esp_log_position *out_position, struct esp_error *err)
{
    struct files_reader *reader = (struct files_reader *)base;
    int64_t deadline_us = INT64_MIN;
    for (;;) {
        if (reader->block_left > 0 || reader->block.size > 0) {
            *out_n = take_records(reader, records, capacity);
            if (*out_n > 0) {
                *out_position = ESP_LOG_MORE; /* also after a wait at the end */
                return ESP_OK;
            }
            continue;
        }
        enum advance state;
        enum esp_status status = advance(reader, &state, err);
        if (status == ESP_OK && state != ADVANCE_ON)
            status = check_end(reader, err);
        if (status != ESP_OK || state == ADVANCE_ENDED) {
            *out_position = ESP_LOG_ENDED;
            return status;
        }
        if (state == ADVANCE_ON)
            continue;
        *out_position = ESP_LOG_AT_END;
        if (timeout_us <= 0)
            return ESP_OK;
        if (deadline_us == INT64_MIN)
            deadline_us = esp_log_now_us() + timeout_us;
        if (!wait_for_growth(deadline_us))
            return ESP_OK;
    }
}

static void files_reader_stats(const struct esp_log_reader *base, struct esp_log_reader_stats *out)
{
    const struct files_reader *reader = (const struct files_reader *)base;
    *out = reader->stats;
    out->next_offset = reader->position;
}

static void files_reader_commit(struct esp_log_reader *reader)
{
    (void)reader; /* the caller keeps the offset; nobody else asks */
}

static void files_reader_place(const struct esp_log_reader *base, struct esp_log_place *out)
{
    const struct files_reader *reader = (const struct files_reader *)base;
    if (!reader->has_opened) {
        out->offset = reader->wanted >= 0 ? reader->wanted : ESP_OFFSET_EARLIEST;
        return;
    }
    const char *last =
        reader->next_file == 0 ? NULL : reader->folder.files[reader->next_file - 1].name;
    const char *name = reader->name == NULL ? last : reader->name; /* between two: the end of one */
    bool is_within = reader->block_left > 0;
    out->offset = reader->position;
    out->at = is_within ? reader->block_at : reader->good_at;
    out->first = is_within ? reader->block_first : reader->good_first;
    if (name == NULL)
        return;
    snprintf(out->file, sizeof out->file, "%s", name);
    bool is_listed = last != NULL && strcmp(last, name) == 0; /* else it was removed meanwhile */
    out->n_before = (uint32_t)(reader->next_file - is_listed);
}

static const struct esp_log_reader_ops reader_ops = {
    .free = files_reader_free,
    .read = files_reader_read,
    .stats = files_reader_stats,
    .place = files_reader_place,
    .commit = files_reader_commit,
};

/* Chooses the file to begin with: the last one whose name says that it begins early enough. */
static enum esp_status seek(struct files_reader *reader, int64_t offset, struct esp_error *err)
{
    if (offset == ESP_OFFSET_EARLIEST)
        return ESP_OK;
    reader->wanted = offset;
    reader->position = offset;
    const struct esp_folder *folder = &reader->folder;
    for (size_t i = 0; i < folder->n; i++) {
        if (folder->files[i].first_offset >= 0 && folder->files[i].first_offset <= offset)
            reader->next_file = i;
    }
    if (folder->n > 0 && folder->files[0].first_offset > offset && reader->next_file == 0)
        return fail_gap(reader, &folder->files[0], err);
    return ESP_OK;
}

/* Index of the file of this name; n: there is none. */
static size_t find_file(const struct esp_folder *folder, const char *name)
{
    size_t after = esp_folder_after(folder, name);
    return after > 0 && strcmp(folder->files[after - 1].name, name) == 0 ? after - 1 : folder->n;
}

/* The file of a place is not there. What the other names tell decides, if they tell anything. */
static enum esp_status seek_without_file(struct files_reader *reader,
                                         const struct esp_log_place *place, struct esp_error *err)
{
    const struct esp_folder *folder = &reader->folder;
    size_t next = esp_folder_after(folder, place->file);
    reader->is_file_gone = true;
    if (next < folder->n && folder->files[next].first_offset >= 0)
        return seek(reader, place->offset, err);
    return esp_fail(err, ESP_EDATA,
                    "%s/%s: is gone, and offset %lld is in it or behind it; put it back, or begin "
                    "anew",
                    reader->path, place->file, (long long)place->offset);
}

/* Opens the file of a place, and goes on at its block. */
static enum esp_status seek_place(struct files_reader *reader, const struct esp_log_place *place,
                                  struct esp_error *err)
{
    size_t i = find_file(&reader->folder, place->file);
    if (place->file[0] == '\0')
        return seek(reader, place->offset, err);
    reader->wanted = reader->position = place->offset;
    if (i == reader->folder.n)
        return seek_without_file(reader, place, err);
    if (i > place->n_before)
        esp_log_say(&reader->files->log, ESP_LOG_PROBLEM,
                    "%s: more files than before, by %zu, stand before %s, which is read already; "
                    "what is new there is not read",
                    reader->path, i - place->n_before, place->file);
    reader->next_file = i;
    reader->container.next_offset = place->first;
    enum esp_status status = open_file(reader, err);
    if (status != ESP_OK)
        return status;
    reader->container.next_offset = reader->good_first = place->first;
    reader->good_at = place->at;
    esp_container_seek(&reader->container, place->at);
    return ESP_OK;
}

enum esp_status esp_files_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                     const struct esp_log_place *place, bool follow,
                                     const struct esp_log_framer *framer,
                                     struct esp_log_reader **out, struct esp_error *err)
{
    const struct esp_files_log *files = (const struct esp_files_log *)log;
    if (framer == NULL)
        return esp_fail(err, ESP_EINVAL, "files need a framer");
    struct files_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a reader");
    reader->reader.ops = &reader_ops;
    reader->files = files;
    reader->framer = framer;
    reader->follow = follow;
    reader->fd = -1;
    reader->wanted = -1;
    reader->stats.end_offset = -1;
    esp_container_init(&reader->container);
    esp_buf_init(&reader->decoded, ESP_BLOCK_MAX_BYTES);
    reader->path = esp_files_partition_path(files, topic, partition);
    enum esp_status status = ESP_OK;
    if (reader->path == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    if (status == ESP_OK)
        status = esp_folder_list(reader->path, &reader->folder, err);
    if (status == ESP_OK)
        status = seek_place(reader, place, err);
    if (status != ESP_OK) {
        files_reader_free(&reader->reader);
        return status;
    }
    *out = &reader->reader;
    return ESP_OK;
}
