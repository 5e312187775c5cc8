/* recovery.c - see recovery.h. */
#include "cmd/train/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/train/train.h"
#include "core/logger.h"

static void set_aside(const struct train *train, uint64_t number, const struct esp_error *why)
{
    struct esp_error lost = {0};
    esp_log(ESP_WARN, "a checkpoint cannot be used and is set aside; the one before is tried",
            "why", why->text, NULL);
    if (esp_checkpoint_set_aside(train->folder, number, &lost) != ESP_OK)
        esp_log_error(&lost);
}

/* Opens one. *out stays NULL where it is damaged. */
static enum esp_status open_one(const struct train *train, uint64_t number,
                                struct esp_checkpoint **out, struct esp_error *err)
{
    struct esp_error why = {0};
    enum esp_status status = esp_checkpoint_open(train->folder, number, out, &why);
    if (status == ESP_EDATA) {
        set_aside(train, number, &why);
        return ESP_OK;
    }
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    status = esp_checkpoint_expect(*out, NULL, train->state_text, &why);
    if (status != ESP_OK)
        return esp_fail(err, ESP_ECONFIG, "%s; restore it, or give this run another [state] folder",
                        why.text);
    status = esp_checkpoint_expect(*out, train->build, NULL, &why);
    if (status != ESP_OK)
        esp_log(ESP_WARN,
                "the checkpoint was written by another build or on another CPU: what follows may "
                "differ in the last bits",
                "what", why.text, NULL);
    return ESP_OK;
}

static void say_begin(const struct esp_checkpoint *from)
{
    const struct esp_checkpoint_head *head = esp_checkpoint_head(from);
    char number[24], watermark[ESP_TIME_TEXT_SIZE] = "none", made[ESP_TIME_TEXT_SIZE];
    snprintf(number, sizeof number, "%" PRIu64, head->number);
    if (head->time_us == ESP_TIME_END)
        snprintf(watermark, sizeof watermark, "the end");
    else if (head->time_us != ESP_TIME_NONE)
        esp_time_format(head->time_us, watermark);
    esp_log(ESP_INFO, "going on from a checkpoint", "number", number, "watermark", watermark,
            "written", esp_time_format(head->created_us, made), NULL);
}

/* To begin anew beside checkpoints that cannot be used would write outputs twice, and the first new
 * checkpoint would remove what is left of them: that is for the user to choose. */
static enum esp_status check_none_is_bad(const struct train *train, struct esp_error *err)
{
    uint64_t *numbers = NULL;
    size_t n = 0;
    enum esp_status status = esp_checkpoint_list_bad(train->folder, &numbers, &n, err);
    free(numbers);
    if (status != ESP_OK || n == 0)
        return status;
    return esp_fail(err, ESP_EDATA,
                    "%s/" ESP_CHECKPOINT_FOLDER
                    ": no checkpoint can be used, and %zu are set aside "
                    "as *.bad: mend what the lines above say and take .bad off their names, or "
                    "give this run another [state] folder, to begin with its newest snapshot or, "
                    "with [state] lost = restart, anew",
                    esp_state_folder_root(train->folder), n);
}

enum esp_status recovery_choose(struct recovery *recovery, const struct train *train,
                                struct esp_error *err)
{
    uint64_t *numbers = NULL;
    size_t n = 0;
    *recovery = (struct recovery){.next = 1};
    enum esp_status status = esp_checkpoint_list(train->folder, &numbers, &n, err);
    if (n > 0)
        recovery->next = numbers[0] + 1;
    for (size_t i = 0; status == ESP_OK && recovery->from == NULL && i < n; i++)
        status = open_one(train, numbers[i], &recovery->from, err);
    free(numbers);
    if (status != ESP_OK)
        return status;
    if (recovery->from == NULL)
        return check_none_is_bad(train, err);
    say_begin(recovery->from);
    return ESP_OK;
}

bool recovery_refuse(struct recovery *recovery, const struct train *train,
                     const struct esp_error *why)
{
    if (recovery->from == NULL || !recovery->is_unfit)
        return false;
    set_aside(train, esp_checkpoint_head(recovery->from)->number, why);
    recovery_release(recovery);
    return true;
}

void recovery_release(struct recovery *recovery)
{
    esp_checkpoint_close(recovery->from);
    recovery->from = NULL;
}
