/* serving.c - see serving.h. */
#include "cmd/run/serving.h"

#include "core/logger.h"
#include "core/timespan.h"

enum esp_status serving_check(const struct config *config, struct esp_error *err)
{
    const struct options *options = &config->options;
    char where[512];
    if (options->serve_port == 0 || esp_http_is_address(options->serve_listen))
        return ESP_OK;
    return esp_fail(err, ESP_ECONFIG,
                    "%s: not an address; write an IPv4 or IPv6 address of this machine, such as "
                    "127.0.0.1 or ::1",
                    config_place(config, "serve", "listen", where, sizeof where));
}

enum esp_status serving_start(const struct config *config, const struct esp_page *pages,
                              size_t n_pages, struct esp_http **out, struct esp_error *err)
{
    const struct options *options = &config->options;
    *out = NULL;
    enum esp_status status = serving_check(config, err);
    if (status != ESP_OK || options->serve_port == 0)
        return status;
    struct esp_http_config http = {.address = options->serve_listen,
                                   .port = (uint16_t)options->serve_port,
                                   .pages = pages,
                                   .n_pages = n_pages};
    struct esp_error why = {0};
    status = esp_http_start(&http, out, &why);
    if (status != ESP_OK) {
        char where[512];
        return esp_fail(err, status, "%s: %s; choose another address or port, or port = 0 for none",
                        config_place(config, "serve", "port", where, sizeof where), why.text);
    }
    char url[ESP_HTTP_URL_SIZE];
    esp_log(ESP_INFO, "serving", "url", esp_http_url(http.address, http.port, url), NULL);
    return ESP_OK;
}

enum esp_status serving_health(const struct config *config, const struct pulse *pulses,
                               size_t n_pulses, int64_t now_us, struct esp_buf *out, unsigned *code,
                               struct esp_error *err)
{
    int64_t limit_us = config->options.serve_stall_after_us;
    char line[256], limit[ESP_TIME_TEXT_SIZE];
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < n_pulses; i++) {
        int64_t silence_us = pulse_silence_us(&pulses[i], now_us);
        if (silence_us < limit_us)
            continue;
        *code = 503;
        int n = snprintf(line, sizeof line,
                         "the %s thread has not gone round for %lld s (serve.stall_after = %s)\n",
                         pulses[i].thread, (long long)(silence_us / ESP_SECOND),
                         esp_span_format(limit_us, limit));
        status = esp_buf_append(out, line, (size_t)n, err);
    }
    return status == ESP_OK && out->size == 0 ? esp_buf_append(out, "ok\n", 3, err) : status;
}
