/* setup.c - the table of set-ups; nothing else in the program knows a set-up by name. */
#include "model/setup.h"

#include <assert.h>

static const struct esp_setup SETUPS[ESP_N_SETUPS] = {
    [ESP_SETUP_IP] = {.name = "ip",
                      .n_towers = 2,
                      .has_head = {[ESP_HEAD_CTR] = true, [ESP_HEAD_CVR] = true},
                      .loss_click = true,
                      .loss_install_clicked = true},
    [ESP_SETUP_ESMM] = {.name = "esmm",
                        .n_towers = 1,
                        .has_head = {[ESP_HEAD_CTR] = true, [ESP_HEAD_CVR] = true},
                        .loss_click = true,
                        .loss_install_product = true,
                        .needs_whole = true},
    [ESP_SETUP_ESMM_NS] = {.name = "esmm-ns",
                           .n_towers = 2,
                           .has_head = {[ESP_HEAD_CTR] = true, [ESP_HEAD_CVR] = true},
                           .loss_click = true,
                           .loss_install_product = true,
                           .needs_whole = true},
    [ESP_SETUP_ESSP_SPLIT] = {.name = "essp-split",
                              .n_towers = 1,
                              .has_head = {[ESP_HEAD_CTR] = true, [ESP_HEAD_CTCVR] = true},
                              .loss_click = true,
                              .loss_install_direct = true,
                              .needs_whole = true},
    [ESP_SETUP_IPSP] = {.name = "ipsp",
                        .n_towers = 1,
                        .has_head = {[ESP_HEAD_CTR] = true, [ESP_HEAD_CVR] = true},
                        .loss_click = true,
                        .loss_install_clicked = true},
    [ESP_SETUP_ESP] = {.name = "esp",
                       .n_towers = 1,
                       .has_head = {[ESP_HEAD_CTCVR] = true},
                       .loss_install_direct = true,
                       .needs_whole = true},
    [ESP_SETUP_CTR] = {.name = "ctr",
                       .n_towers = 1,
                       .has_head = {[ESP_HEAD_CTR] = true},
                       .loss_click = true},
};

const struct esp_setup *esp_setup_get(enum esp_setup_id id)
{
    assert((unsigned)id < ESP_N_SETUPS);
    return &SETUPS[id];
}

const char *esp_task_name(enum esp_task task)
{
    static const char *const NAMES[ESP_N_TASKS] = {"click", "install_given_click", "install"};
    assert((unsigned)task < ESP_N_TASKS);
    return NAMES[task];
}

struct esp_setup esp_setup_without_installs(const struct esp_setup *setup)
{
    struct esp_setup left = *setup;
    left.has_head[ESP_HEAD_CVR] = left.has_head[ESP_HEAD_CTCVR] = false;
    left.loss_install_clicked = left.loss_install_product = left.loss_install_direct = false;
    left.needs_whole = false;
    left.n_towers = 1;
    return left;
}

bool esp_setup_has_task(const struct esp_setup *setup, enum esp_task task)
{
    bool ctr = setup->has_head[ESP_HEAD_CTR], cvr = setup->has_head[ESP_HEAD_CVR];
    switch (task) {
    case ESP_TASK_CLICK:
        return ctr;
    case ESP_TASK_INSTALL_GIVEN_CLICK:
        return cvr;
    default:
        return setup->has_head[ESP_HEAD_CTCVR] || (ctr && cvr);
    }
}
