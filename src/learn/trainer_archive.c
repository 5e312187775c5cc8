/* trainer_archive.c - a trainer in a checkpoint, and beside a snapshot. See trainer.h; what is of a
 * table is in table_archive.c. */
#include "learn/trainer.h"

/* The dense optimizer's state and what counts steps. */
static void dense_archive(struct esp_archive *archive, struct esp_trainer *trainer)
{
    size_t n_bytes = trainer->network.n_params * sizeof(float);
    esp_archive_same(archive, esp_optimizer_dense_slots(&trainer->config.dense),
                     "the optimizer's numbers of a dense weight");
    for (size_t i = 0; i < 2; i++)
        if (trainer->dense.slots[i])
            esp_archive_bytes(archive, trainer->dense.slots[i], n_bytes);
    esp_archive_u64(archive, &trainer->dense.steps);
    esp_archive_i64(archive, &trainer->dense.stepped_us);
    esp_archive_u64(archive, &trainer->n_learned);
    esp_archive_u64(archive, &trainer->n_steps);
}

void esp_trainer_archive(struct esp_archive *archive, struct esp_trainer *trainer)
{
    const struct esp_network *network = &trainer->network;
    esp_archive_mark(archive, "trainer", 1);
    esp_archive_same(archive, network->n_params, "the number of dense weights");
    esp_archive_same(archive, network->n_towers, "the number of embedding tables");
    esp_archive_bytes(archive, trainer->params, network->n_params * sizeof(*trainer->params));
    dense_archive(archive, trainer);
    for (size_t t = 0; t < network->n_towers; t++)
        esp_table_archive(archive, &trainer->towers[t].table);
    if (esp_archive_reads(archive) && esp_archive_is_ok(archive))
        esp_network_pack(network, trainer->params, trainer->packed);
}

void esp_trainer_rest_archive(struct esp_archive *archive, struct esp_trainer *trainer)
{
    esp_archive_mark(archive, "trainer's rest", 1);
    esp_archive_same(archive, trainer->network.n_params, "the number of dense weights");
    esp_archive_same(archive, trainer->network.n_towers, "the number of embedding tables");
    dense_archive(archive, trainer);
    for (size_t t = 0; t < trainer->network.n_towers; t++)
        esp_table_rest_archive(archive, &trainer->towers[t].table);
}

/* True if both have the same tensors in the same places. */
static bool same_network(const struct esp_network *a, const struct esp_network *b)
{
    if (strcmp(a->setup.name, b->setup.name) != 0 || a->n_features != b->n_features ||
        a->width != b->width || a->n_towers != b->n_towers || a->n_params != b->n_params ||
        a->n_tensors != b->n_tensors)
        return false;
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct esp_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->offset != y->offset || x->n_rows != y->n_rows ||
            x->n_cols != y->n_cols)
            return false;
    }
    return true;
}

enum esp_status esp_trainer_take(struct esp_trainer *trainer,
                                 const struct esp_parameters *parameters, int64_t trained_us,
                                 struct esp_error *err)
{
    const struct esp_network *network = &trainer->network;
    if (!same_network(network, parameters->network))
        return esp_fail(err, ESP_EDATA, "it is of a model of another shape");
    memcpy(trainer->params, parameters->params, network->n_params * sizeof(*trainer->params));
    esp_network_pack(network, trainer->params, trainer->packed);
    trainer->n_learned = parameters->n_learned;
    trainer->n_steps = parameters->n_steps;
    enum esp_status status = ESP_OK;
    for (size_t t = 0; t < network->n_towers && status == ESP_OK; t++)
        status = esp_table_take(&trainer->towers[t].table, &parameters->tables[t].view,
                                parameters->tables[t].n_rows, trained_us, err);
    return status;
}
