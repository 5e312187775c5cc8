/*
 * registry_fetch.c - see registry_fetch.h.
 *
 * A fetch is a walk over the schema and what it refers to, depth first, each subject and version
 * once. Every step asks until there is an answer to go on with:
 *
 *     read_reply -> SCHEMA, UNUSABLE   go on
 *                -> UNKNOWN            pause, ask again; after `retries` times go on
 *                -> AWAY               say so, pause (longer each time), ask again
 *                -> DENIED             the fetch fails
 */
#include "cmd/registry/registry_fetch.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/registry/http_client.h"
#include "cmd/run/run.h"
#include "cmd/run/seldom.h"
#include "core/timespan.h"
#include "event/avro_schema.h"
#include "event/schema_inline.h"

enum { MAX_DEPTH = 16 }; /* of references of references */
static const int64_t usual_first_pause_us = 100 * ESP_MS;
static const int64_t longest_pause_us = 30 * ESP_SECOND;
static const int64_t look_for_stop_us = 50 * ESP_MS;

struct registry_fetcher {
    char *address; /* owned */
    int64_t first_pause_us;
    esp_log_report *report;
    void *report_context;
    struct http_client *http;
    bool (*stopped)(void *context); /* NULL: never asked */
    void *stopped_context;
    int64_t patience_us; /* 0: no end */
    bool is_away;        /* and that was said */
    struct seldom away;
};

static bool is_stopped(void *context)
{
    struct registry_fetcher *fetcher = context;
    return fetcher->stopped != NULL && fetcher->stopped(fetcher->stopped_context);
}

enum esp_status registry_fetcher_new(const struct registry_config *config,
                                     struct registry_fetcher **out, struct esp_error *err)
{
    struct registry_fetcher *fetcher = calloc(1, sizeof *fetcher);
    char *address = strdup(config->address);
    if (fetcher == NULL || address == NULL) {
        free(fetcher);
        free(address);
        return esp_fail(err, ESP_ENOMEM, "out of memory for the schema registry");
    }
    *fetcher = (struct registry_fetcher){
        .address = address,
        .first_pause_us =
            config->first_pause_us > 0 ? config->first_pause_us : usual_first_pause_us,
        .report = config->report,
        .report_context = config->report_context,
    };
    const struct http_config http = {
        .user = config->user,
        .password = config->password,
        .ca_file = config->ca_file,
        .accept = "application/vnd.schemaregistry.v1+json, application/json",
        .timeout_us = config->timeout_us,
        .max_body_bytes = REGISTRY_MAX_BODY_BYTES,
        .stopped = is_stopped,
        .stopped_context = fetcher,
    };
    enum esp_status status = http_client_new(&http, &fetcher->http, err);
    if (status != ESP_OK) {
        registry_fetcher_free(fetcher);
        return status;
    }
    *out = fetcher;
    return ESP_OK;
}

void registry_fetcher_free(struct registry_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    http_client_free(fetcher->http);
    free(fetcher->address);
    free(fetcher);
}

void registry_fetcher_set_end(struct registry_fetcher *fetcher, bool (*stopped)(void *context),
                              void *context, int64_t patience_us)
{
    fetcher->stopped = stopped;
    fetcher->stopped_context = context;
    fetcher->patience_us = patience_us;
}

const char *registry_fetcher_address(const struct registry_fetcher *fetcher)
{
    return fetcher->address;
}

/* ---- one answer ------------------------------------------------------------------------------ */

static void request(struct registry_fetcher *fetcher, const char *path, struct http_reply *reply)
{
    char *url = NULL;
    if (asprintf(&url, "%s%s", fetcher->address, path) < 0) {
        *reply = (struct http_reply){.outcome = HTTP_FAILED};
        esp_fail(&reply->why, ESP_ENOMEM, "out of memory");
        return;
    }
    http_get(fetcher->http, url, reply);
    free(url);
}

/* What a reply means. The answer is released by the caller. */
static void read_reply(const struct http_reply *reply, struct registry_answer *answer)
{
    static const struct {
        enum registry_verdict verdict;
        const char *words;
    } failures[] = {
        [HTTP_TOO_LARGE] = {REGISTRY_UNUSABLE, ""},
        [HTTP_FAILED] = {REGISTRY_AWAY, "does not answer: "},
        [HTTP_UNTRUSTED] = {REGISTRY_DENIED, "cannot be trusted (mend registry_ca_file): "},
    };
    if (reply->outcome == HTTP_ANSWERED) {
        registry_answer_read(reply->status, reply->body, answer);
        return;
    }
    *answer = (struct registry_answer){.verdict = failures[reply->outcome].verdict};
    esp_fail(&answer->why, ESP_EBROKER, "%s%s", failures[reply->outcome].words, reply->why.text);
}

/* One question to the registry: what was tried so far. */
struct question {
    int64_t asked_us; /* since when */
    int64_t pause_us; /* the next one */
    unsigned n_unknown;
};

/* Waits before the next try. False: it is not to be waited for. */
static bool pause_before_next(struct registry_fetcher *fetcher, struct question *question,
                              int64_t least_us)
{
    int64_t wait_us = question->pause_us > least_us ? question->pause_us : least_us;
    int64_t until_us = run_clock_us() + (wait_us < longest_pause_us ? wait_us : longest_pause_us);
    question->pause_us *= question->pause_us < longest_pause_us ? 2 : 1;
    if (fetcher->patience_us > 0 && until_us > question->asked_us + fetcher->patience_us)
        return false;
    for (;;) {
        int64_t left_us = until_us - run_clock_us();
        if (is_stopped(fetcher))
            return false;
        if (left_us <= 0)
            return true;
        int64_t nap_us = left_us < look_for_stop_us ? left_us : look_for_stop_us;
        nanosleep(&(struct timespec){.tv_nsec = (long)(nap_us * 1000)}, NULL);
    }
}

static void note_presence(struct registry_fetcher *fetcher, const struct registry_answer *answer)
{
    if (answer->verdict == REGISTRY_AWAY) {
        fetcher->is_away = true;
        seldom_say(&fetcher->away, fetcher->report, fetcher->report_context,
                   "schema registry %s %s; the input waits for it", fetcher->address,
                   answer->why.text);
    } else if (fetcher->is_away) {
        fetcher->is_away = false;
        char line[ESP_ERROR_TEXT_SIZE];
        snprintf(line, sizeof line, "schema registry %s answers again", fetcher->address);
        fetcher->report(fetcher->report_context, &(struct esp_log_event){ESP_LOG_NOTE, line});
    }
}

/* Asks until there is an answer to go on with: SCHEMA, UNKNOWN or UNUSABLE. Released by the caller,
 * also on failure. */
static enum esp_status ask(struct registry_fetcher *fetcher, const char *path, unsigned retries,
                           struct registry_answer *answer, struct esp_error *err)
{
    struct question question = {run_clock_us(), fetcher->first_pause_us, 0};
    for (;;) {
        struct http_reply reply;
        request(fetcher, path, &reply);
        read_reply(&reply, answer);
        if (answer->verdict == REGISTRY_AWAY && is_stopped(fetcher))
            return esp_fail(err, ESP_EBROKER, "stopped while schema registry %s was asked",
                            fetcher->address);
        note_presence(fetcher, answer);
        if (answer->verdict == REGISTRY_DENIED)
            return esp_fail(err, ESP_ECONFIG, "schema registry %s %s", fetcher->address,
                            answer->why.text);
        if (answer->verdict == REGISTRY_SCHEMA || answer->verdict == REGISTRY_UNUSABLE ||
            (answer->verdict == REGISTRY_UNKNOWN && question.n_unknown++ == retries))
            return ESP_OK;
        if (!pause_before_next(fetcher, &question, reply.retry_after_us))
            return esp_fail(err, ESP_EBROKER, "schema registry %s %s", fetcher->address,
                            answer->why.text);
        registry_answer_release(answer);
    }
}

/* ---- a schema and what it refers to ---------------------------------------------------------- */

/* What a fetch has gathered. */
struct gathering {
    struct registry_fetcher *fetcher;
    unsigned retries;
    struct registry_fetched *result;
    char *paths[REGISTRY_MAX_REFERENCES];      /* n_paths, owned: asked for already */
    char *referenced[REGISTRY_MAX_REFERENCES]; /* n_referenced, owned: JSON texts */
    size_t n_paths, n_referenced, n_bytes;
};

/* Notes why the schema cannot be had; the fetch is over, and did not fail. */
__attribute__((format(printf, 3, 4))) static void
give_up(struct gathering *gathering, enum registry_verdict verdict, const char *format, ...)
{
    char text[ESP_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gathering->result->verdict = verdict;
    esp_fail(&gathering->result->why, ESP_EDATA, "%s", text);
}

static bool has_given_up(const struct gathering *gathering)
{
    return gathering->result->verdict != REGISTRY_SCHEMA;
}

/* /subjects/SUBJECT/versions/N; NULL: out of memory. A version that was deleted since is still
 * what the schema was written with. */
static char *path_of(const struct registry_reference *reference)
{
    char *subject = curl_easy_escape(NULL, reference->subject, 0), *path = NULL;
    if (subject != NULL &&
        asprintf(&path, "/subjects/%s/versions/%d?deleted=true", subject, reference->version) < 0)
        path = NULL;
    curl_free(subject);
    return path;
}

static bool was_asked(const struct gathering *gathering, const char *path)
{
    for (size_t i = 0; i < gathering->n_paths; i++) {
        if (strcmp(gathering->paths[i], path) == 0)
            return true;
    }
    return false;
}

static enum esp_status gather_all(struct gathering *gathering, const struct registry_answer *answer,
                                  unsigned depth, struct esp_error *err);

/* Takes the text of a referenced schema, and what that refers to. */
static enum esp_status gather_answer(struct gathering *gathering, const char *path,
                                     const struct registry_answer *answer, unsigned depth,
                                     struct esp_error *err)
{
    if (answer->verdict != REGISTRY_SCHEMA) {
        give_up(gathering, REGISTRY_UNUSABLE, "its reference %.200s: %s", path, answer->why.text);
        return ESP_OK;
    }
    gathering->n_bytes += strlen(answer->schema);
    if (gathering->n_bytes > ESP_SCHEMA_MAX_BYTES) {
        give_up(gathering, REGISTRY_UNUSABLE, "over %d bytes with its references",
                ESP_SCHEMA_MAX_BYTES);
        return ESP_OK;
    }
    char *text = strdup(answer->schema);
    if (text == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    gathering->referenced[gathering->n_referenced++] = text;
    return gather_all(gathering, answer, depth + 1, err);
}

static enum esp_status gather_one(struct gathering *gathering,
                                  const struct registry_reference *reference, unsigned depth,
                                  struct esp_error *err)
{
    char *path = path_of(reference);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a reference");
    if (was_asked(gathering, path)) {
        free(path);
        return ESP_OK;
    }
    if (gathering->n_paths == REGISTRY_MAX_REFERENCES) {
        give_up(gathering, REGISTRY_UNUSABLE, "more than %d references", REGISTRY_MAX_REFERENCES);
        free(path);
        return ESP_OK;
    }
    gathering->paths[gathering->n_paths++] = path;
    struct registry_answer answer = {0};
    enum esp_status status = ask(gathering->fetcher, path, gathering->retries, &answer, err);
    if (status == ESP_OK)
        status = gather_answer(gathering, path, &answer, depth, err);
    registry_answer_release(&answer);
    return status;
}

static enum esp_status gather_all(struct gathering *gathering, const struct registry_answer *answer,
                                  unsigned depth, struct esp_error *err)
{
    if (depth == MAX_DEPTH && answer->n_references > 0) {
        give_up(gathering, REGISTRY_UNUSABLE, "references of references, deeper than %d",
                MAX_DEPTH);
        return ESP_OK;
    }
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < answer->n_references && status == ESP_OK && !has_given_up(gathering);
         i++)
        status = gather_one(gathering, &answer->references[i], depth, err);
    return status;
}

/* The schema in one text, whatever it takes. */
static enum esp_status assemble(struct gathering *gathering, const struct registry_answer *answer,
                                struct esp_error *err)
{
    struct esp_error inner = {0};
    enum esp_status status = gather_all(gathering, answer, 0, err);
    if (status != ESP_OK || has_given_up(gathering))
        return status;
    if (gathering->n_referenced == 0) { /* byte for byte as it was registered */
        gathering->result->json = strdup(answer->schema);
        return gathering->result->json != NULL
                   ? ESP_OK
                   : esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    }
    status = esp_schema_inline(answer->schema, (const char *const *)gathering->referenced,
                               gathering->n_referenced, &gathering->result->json, &inner);
    if (status == ESP_ESCHEMA)
        give_up(gathering, REGISTRY_UNUSABLE, "%s", inner.text);
    return status == ESP_OK || status == ESP_ESCHEMA ? ESP_OK
                                                     : esp_fail(err, status, "%s", inner.text);
}

enum esp_status registry_fetch(struct registry_fetcher *fetcher, uint32_t id, unsigned retries,
                               struct registry_fetched *out, struct esp_error *err)
{
    char path[64];
    struct registry_answer answer = {0};
    struct gathering gathering = {.fetcher = fetcher, .retries = retries, .result = out};
    *out = (struct registry_fetched){.verdict = REGISTRY_SCHEMA};
    snprintf(path, sizeof path, "/schemas/ids/%" PRIu32, id);
    enum esp_status status = ask(fetcher, path, retries, &answer, err);
    if (status == ESP_OK && answer.verdict != REGISTRY_SCHEMA)
        give_up(&gathering, answer.verdict, "%s", answer.why.text);
    else if (status == ESP_OK)
        status = assemble(&gathering, &answer, err);
    for (size_t i = 0; i < gathering.n_paths; i++)
        free(gathering.paths[i]);
    for (size_t i = 0; i < gathering.n_referenced; i++)
        free(gathering.referenced[i]);
    registry_answer_release(&answer);
    return status;
}

enum esp_status registry_fetcher_ping(struct registry_fetcher *fetcher, struct esp_error *err)
{
    struct http_reply reply;
    struct registry_answer answer;
    /* The list of schema types. A registry older than it says so, in JSON and with an error code.
     */
    request(fetcher, "/schemas/types", &reply);
    read_reply(&reply, &answer);
    const json_t *code = json_object_get(answer.document, "error_code");
    bool is_there = reply.outcome == HTTP_ANSWERED && ((reply.status == 200 && answer.document) ||
                                                       (reply.status == 404 && code != NULL));
    enum esp_status status = ESP_OK;
    if (!is_there)
        status = esp_fail(err, answer.verdict == REGISTRY_DENIED ? ESP_ECONFIG : ESP_EBROKER,
                          "schema registry %s %s", fetcher->address, answer.why.text);
    registry_answer_release(&answer);
    return status;
}
