/*
 * mock_cluster.c - librdkafka's mock cluster as a program, for tests that want a broker's faults.
 *
 *     mock_cluster BROKERS TOPIC:PARTITIONS...
 *
 * Prints its bootstrap address, then does what it reads, a line each, until its input ends:
 *
 *     down BROKER | up BROKER              drops connections and refuses new ones; takes them again
 *     rtt BROKER MS                        every answer takes this long
 *     leader TOPIC PARTITION BROKER        moves a partition
 *     fail REQUEST CODE COUNT              the next COUNT requests of that number fail so
 *     topic TOPIC CODE                     metadata of a topic tells this error; 0: none
 *
 * Numbers of requests and codes are the protocol's. Prints "ok" after each.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ERRORS = 100 };

static void fail(const char *what)
{
    fprintf(stderr, "mock_cluster: %s\n", what);
    exit(1);
}

static void fail_requests(rd_kafka_mock_cluster_t *cluster, int request, int code, int count)
{
    rd_kafka_resp_err_t codes[MOST_ERRORS];
    for (int i = 0; i < count && i < MOST_ERRORS; i++)
        codes[i] = (rd_kafka_resp_err_t)code;
    rd_kafka_mock_push_request_errors_array(
        cluster, (int16_t)request, (size_t)(count < MOST_ERRORS ? count : MOST_ERRORS), codes);
}

static rd_kafka_resp_err_t obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
    char topic[256];
    int a = 0, b = 0, c = 0;
    if (sscanf(line, "down %d", &a) == 1)
        return rd_kafka_mock_broker_set_down(cluster, a);
    if (sscanf(line, "up %d", &a) == 1)
        return rd_kafka_mock_broker_set_up(cluster, a);
    if (sscanf(line, "rtt %d %d", &a, &b) == 2)
        return rd_kafka_mock_broker_set_rtt(cluster, a, b);
    if (sscanf(line, "leader %255s %d %d", topic, &a, &b) == 3)
        return rd_kafka_mock_partition_set_leader(cluster, topic, a, b);
    if (sscanf(line, "topic %255s %d", topic, &a) == 2) {
        rd_kafka_mock_topic_set_error(cluster, topic, (rd_kafka_resp_err_t)a);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (sscanf(line, "fail %d %d %d", &a, &b, &c) != 3)
        fail(line);
    fail_requests(cluster, a, b, c);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int main(int argc, char **argv)
{
    char why[512], line[512];
    if (argc < 3)
        fail("usage: mock_cluster BROKERS TOPIC:PARTITIONS...");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (handle == NULL)
        fail(why);
    int n_brokers = (int)strtol(argv[1], NULL, 10);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, n_brokers);
    if (cluster == NULL)
        fail("no cluster");
    for (int i = 2; i < argc; i++) {
        char *colon = strchr(argv[i], ':');
        if (colon == NULL)
            fail(argv[i]);
        *colon = '\0';
        rd_kafka_mock_topic_create(cluster, argv[i], (int)strtol(colon + 1, NULL, 10), n_brokers);
    }
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        rd_kafka_resp_err_t code = obey(cluster, line);
        puts(code == RD_KAFKA_RESP_ERR_NO_ERROR ? "ok" : rd_kafka_err2str(code));
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(handle);
    return 0;
}
