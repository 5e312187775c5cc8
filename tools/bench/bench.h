/*
 * bench.h - the measurements of espalier-bench. Each prints lines `NAME VALUE UNIT` to stdout and
 * returns an exit code; --help of each tells its options.
 */
#ifndef ESP_TOOLS_BENCH_H
#define ESP_TOOLS_BENCH_H

/* The join alone: events a second a core, bytes a pending impression. */
int bench_join(int argc, char **argv);

/* The learner alone: examples a second a core. */
int bench_learn(int argc, char **argv);

/* The figures of a drift window: ms, by part. */
int bench_metric(int argc, char **argv);

/* Scoring with a mapped snapshot: scores a second a core. */
int bench_score(int argc, char **argv);

/* A snapshot's file, written, copied, opened; with a broker, published and fetched. */
int bench_snapshot(int argc, char **argv);

#endif
