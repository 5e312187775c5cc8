/*
 * setup.h - the multi-task set-ups as one table (arXiv 2108.13475, section 2.3; ESMM: 1804.07931).
 *
 * A set-up is one or two towers. A tower has an embedding table, shared layers, and one or two
 * heads. Which logits enter which loss is said by the heads and the losses.
 */
#ifndef ESP_MODEL_SETUP_H
#define ESP_MODEL_SETUP_H

#include <stdbool.h>
#include <stddef.h>

enum esp_task { ESP_TASK_CLICK, ESP_TASK_INSTALL_GIVEN_CLICK, ESP_TASK_INSTALL, ESP_N_TASKS };

/* "click", "install_given_click", "install" */
const char *esp_task_name(enum esp_task task);

enum esp_head { ESP_HEAD_CTR, ESP_HEAD_CVR, ESP_HEAD_CTCVR, ESP_N_HEADS };

enum esp_setup_id {
    ESP_SETUP_IP,
    ESP_SETUP_ESMM,
    ESP_SETUP_ESMM_NS,
    ESP_SETUP_ESSP_SPLIT,
    ESP_SETUP_IPSP,
    ESP_SETUP_ESP,
    ESP_SETUP_CTR,
    ESP_N_SETUPS
};

struct esp_setup {
    const char *name;
    size_t n_towers; /* 2: the heads share nothing, tower i has head i */
    bool has_head[ESP_N_HEADS];
    bool loss_click;           /* L(y, ctr) */
    bool loss_install_clicked; /* y L(z, cvr), learned when z is mature */
    bool loss_install_product; /* L(z, ctr * cvr), over the entire space */
    bool loss_install_direct;  /* L(z, ctcvr), over the entire space */
    bool needs_whole;          /* learns everything at ESP_STAGE_WHOLE */
};

const struct esp_setup *esp_setup_get(enum esp_setup_id id);

/* What is left of a set-up where the join has no installs: its click loss, learned at the click
 * stage by one tower. Nothing is left of `esp`: loss_click is false then. */
struct esp_setup esp_setup_without_installs(const struct esp_setup *setup);

/* True if the heads give a logit of the task: P(install) is a head of its own or ctr * cvr. */
bool esp_setup_has_task(const struct esp_setup *setup, enum esp_task task);

#endif
