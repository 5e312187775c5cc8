/* resume.c - see resume.h. */
#include "snapshot/resume.h"

#include <string.h>

#include "snapshot/snapshot_write.h"

/* ---- out ------------------------------------------------------------------------------------- */

static void archive_rest(struct esp_archive *archive, void *context)
{
    esp_learner_rest_archive(archive, context);
}

enum esp_status esp_resume_write(const char *path, const struct esp_manifest *manifest,
                                 struct esp_learner *learner, uint64_t *out_bytes,
                                 struct esp_error *err)
{
    struct esp_parameters parameters;
    struct esp_snapshot_rest rest = {.archive = archive_rest, .context = learner};
    esp_learner_parameters(learner, &parameters);
    return esp_snapshot_write_with(path, manifest, &parameters, ESP_DTYPE_F32, &rest, out_bytes,
                                   err);
}

/* ---- back ------------------------------------------------------------------------------------ */

/* The tensor, or NULL. */
static const struct esp_file_tensor *find_rest(const struct esp_snapshot *snapshot)
{
    return esp_file_layout_find(esp_snapshot_layout(snapshot), ESP_REST_TENSOR);
}

bool esp_resume_is_whole(const struct esp_snapshot *snapshot)
{
    return find_rest(snapshot) != NULL;
}

const char *esp_resume_restarts(const struct esp_snapshot *snapshot)
{
    return esp_resume_is_whole(snapshot)
               ? "progressive validation"
               : "optimizers, admission counts and progressive validation";
}

static enum esp_status check_whose(const struct esp_manifest *manifest,
                                   const struct esp_resume_of *of, struct esp_error *err)
{
    if (strcmp(manifest->model, of->model) != 0)
        return esp_fail(err, ESP_EDATA, "it is of model %s, not of %s", manifest->model, of->model);
    if (strcmp(manifest->run, of->run) != 0)
        return esp_fail(err, ESP_EDATA, "it is of run %s; what this configuration learns is run %s",
                        manifest->run, of->run);
    return ESP_OK;
}

/* The statistics of the file, which the open snapshot has checked. */
static enum esp_status restore_features(const struct esp_snapshot *snapshot,
                                        struct esp_features *features, struct esp_error *err)
{
    const struct esp_features *from = esp_snapshot_features(snapshot);
    return esp_features_restore(features, esp_features_state(from), err);
}

/* The boundary less the click window, wherever the boundary stands. */
static int64_t counted_from(int64_t boundary_us, int64_t click_window_us)
{
    int64_t from_us;
    return __builtin_sub_overflow(boundary_us, click_window_us, &from_us) ? INT64_MIN : from_us;
}

static void parameters_of(const struct esp_snapshot *snapshot, struct esp_parameters *out)
{
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
    const struct esp_forward_model *model = esp_snapshot_model(snapshot);
    *out = (struct esp_parameters){
        .network = model->network,
        .params = model->weights.params,
        .n_learned = manifest->n_learned,
        .n_steps = manifest->n_steps,
    };
    for (size_t t = 0; t < model->network->n_towers; t++) {
        out->tables[t].view = model->tables[t];
        out->tables[t].n_rows = esp_snapshot_n_rows(snapshot, t);
    }
}

enum esp_status esp_resume(const struct esp_snapshot *snapshot, const struct esp_resume_of *of,
                           struct esp_learner *learner, struct esp_features *features,
                           struct esp_error *err)
{
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
    const struct esp_file_tensor *rest = find_rest(snapshot);
    struct esp_parameters parameters;
    enum esp_status status = check_whose(manifest, of, err);
    if (status == ESP_OK && rest != NULL && (rest->dtype != ESP_DTYPE_U8 || rest->n_dims != 1))
        status = esp_fail(err, ESP_EDATA, "tensor " ESP_REST_TENSOR " is no row of bytes");
    if (status == ESP_OK && features != NULL)
        status = restore_features(snapshot, features, err);
    if (status != ESP_OK)
        return status;
    parameters_of(snapshot, &parameters);
    struct esp_bytes bytes =
        rest == NULL ? esp_bytes(NULL, 0) : esp_snapshot_tensor(snapshot, rest);
    struct esp_error why = {0};
    status = esp_learner_resume(learner, &parameters, rest == NULL ? NULL : &bytes,
                                manifest->boundary_us,
                                counted_from(manifest->boundary_us, of->click_window_us), &why);
    return status == ESP_OK ? ESP_OK : esp_fail(err, status, "%s", why.text);
}
