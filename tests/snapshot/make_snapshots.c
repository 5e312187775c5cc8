/*
 * make_snapshots.c - for tests of the command line: publishes snapshots of a small model.
 *
 *   make_snapshots PLACE MODEL FIRST LAST [RUN]      PLACE: a folder, or kafka:BROKER/TOPIC
 *
 * The run is "aaaaaaaaaaaaaaaa" unless it is given; three are kept. Prints nothing.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "snapshot/chunks.h"
#include "snapshot/snapshot.h"
#include "snapshot_helper.h"
#include "topic_helper.h"

static void publish(struct esp_publisher *publisher, struct test_model *model, int64_t number)
{
    char path[] = "/tmp/make-snapshots-XXXXXX";
    struct esp_error err = {0};
    enum esp_publish_result result;
    struct esp_snapshot_info info = {0};
    int fd = mkstemp(path);
    if (fd < 0)
        g_error("no temporary file");
    close(fd);
    model->manifest.number = number;
    model->manifest.boundary_us = number * model->manifest.every_us;
    model->manifest.n_learned = (uint64_t)number * 100;
    if (esp_snapshot_write(path, &model->manifest, &model->parameters, ESP_DTYPE_F32, NULL, &err) !=
            ESP_OK ||
        esp_snapshot_peek(path, &info, &err) != ESP_OK)
        g_error("%s", err.text);
    struct esp_publication publication = {.path = path,
                                          .id.number = number,
                                          .boundary_us = info.boundary_us,
                                          .created_us = g_get_real_time(),
                                          .manifest_json = info.manifest_json};
    memcpy(publication.id.run, info.run, sizeof info.run);
    memcpy(publication.id.model, info.model, sizeof info.model);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (esp_file_checksum(fd, path, &publication.checksum, &publication.size, &err) != ESP_OK ||
        esp_publisher_publish(publisher, &publication, &result, &err) != ESP_OK)
        g_error("%s", err.text);
    close(fd);
    esp_snapshot_info_release(&info);
    unlink(path);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6)
        return 64;
    struct test_reports reports;
    struct test_model model;
    struct esp_publisher *publisher = NULL;
    struct esp_error err = {0};
    struct esp_publisher_config config = {.place = argv[1], .keep = 3};
    char *broker = NULL;
    test_reports_init(&reports);
    if (g_str_has_prefix(argv[1], "kafka:")) {
        broker = g_strdup(argv[1] + 6);
        char *slash = strchr(broker, '/');
        *slash = '\0';
        config.place = slash + 1;
        config.log = test_kafka_open(broker, NULL, &reports);
    }
    if (esp_publisher_new(&config, &publisher, &err) != ESP_OK)
        g_error("%s", err.text);
    test_model_init(&model, ESP_SETUP_IPSP);
    snprintf(model.manifest.model, sizeof model.manifest.model, "%s", argv[2]);
    snprintf(model.manifest.run, sizeof model.manifest.run, "%s",
             argc == 6 ? argv[5] : "aaaaaaaaaaaaaaaa");
    for (long number = strtol(argv[3], NULL, 10); number <= strtol(argv[4], NULL, 10); number++)
        publish(publisher, &model, number);
    test_model_release(&model);
    esp_publisher_free(publisher);
    esp_log_free(config.log);
    test_reports_release(&reports);
    g_free(broker);
    return 0;
}
