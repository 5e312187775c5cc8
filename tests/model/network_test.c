/* network_test.c - the table of set-ups, the layout of the parameters, the initial draw. */
#include "model/network.h"

#include <math.h>

#include "testkit.h"

struct setup_case {
    enum esp_setup_id id;
    const char *name;
    size_t n_towers;
    const char *heads;  /* of "ctr cvr ctcvr", as letters r, v, t */
    const char *losses; /* click, clicked install, product, direct, as letters c, i, p, d */
    bool needs_whole;
    const char *tasks; /* click, install given click, install, as letters c, g, i */
    const char *left;  /* tasks without installs */
};

static const struct setup_case SETUPS[] = {
    {ESP_SETUP_IP, "ip", 2, "rv", "ci", false, "cgi", "c"},
    {ESP_SETUP_ESMM, "esmm", 1, "rv", "cp", true, "cgi", "c"},
    {ESP_SETUP_ESMM_NS, "esmm-ns", 2, "rv", "cp", true, "cgi", "c"},
    {ESP_SETUP_ESSP_SPLIT, "essp-split", 1, "rt", "cd", true, "ci", "c"},
    {ESP_SETUP_IPSP, "ipsp", 1, "rv", "ci", false, "cgi", "c"},
    {ESP_SETUP_ESP, "esp", 1, "t", "d", true, "i", ""},
    {ESP_SETUP_CTR, "ctr", 1, "r", "c", false, "c", "c"},
};

static void letters_of_tasks(const struct esp_setup *setup, char *out)
{
    size_t n = 0;
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        if (esp_setup_has_task(setup, task))
            out[n++] = "cgi"[task];
    out[n] = '\0';
}

static void test_setup(const void *data)
{
    const struct setup_case *want = data;
    const struct esp_setup *setup = esp_setup_get(want->id);
    char heads[8] = "", losses[8] = "", tasks[8] = "";
    size_t n = 0;
    for (size_t h = 0; h < ESP_N_HEADS; h++)
        if (setup->has_head[h])
            heads[n++] = "rvt"[h];
    bool has[] = {setup->loss_click, setup->loss_install_clicked, setup->loss_install_product,
                  setup->loss_install_direct};
    n = 0;
    for (size_t i = 0; i < 4; i++)
        if (has[i])
            losses[n++] = "cipd"[i];
    g_assert_cmpstr(setup->name, ==, want->name);
    g_assert_cmpuint(setup->n_towers, ==, want->n_towers);
    g_assert_cmpstr(heads, ==, want->heads);
    g_assert_cmpstr(losses, ==, want->losses);
    g_assert_true(setup->needs_whole == want->needs_whole);
    letters_of_tasks(setup, tasks);
    g_assert_cmpstr(tasks, ==, want->tasks);
    struct esp_setup left = esp_setup_without_installs(setup);
    letters_of_tasks(&left, tasks);
    g_assert_cmpstr(tasks, ==, want->left);
    g_assert_false(left.needs_whole);
    g_assert_cmpuint(left.n_towers, ==, 1);
}

static void test_layout(void)
{
    static const size_t LAYERS[] = {8, 6}, HEAD[] = {5};
    struct esp_network network;
    struct esp_network_config config = {*esp_setup_get(ESP_SETUP_IP), 3, 4, LAYERS, 2, HEAD, 1};
    g_assert_true(esp_network_init(&network, &config, NULL) == ESP_OK);
    static const char *const NAMES[] = {
        "tower0.shared0.weight", "tower0.shared0.bias", "tower0.shared1.weight",
        "tower0.shared1.bias",   "tower0.ctr0.weight",  "tower0.ctr0.bias",
        "tower0.ctr1.weight",    "tower0.ctr1.bias",    "tower1.shared0.weight"};
    g_assert_cmpuint(network.n_tensors, ==, 16);
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        g_assert_cmpstr(network.tensors[i].name, ==, NAMES[i]);
    g_assert_cmpstr(network.tensors[15].name, ==, "tower1.cvr1.bias");
    /* 8x12 at 0, 8 at 96, 6x8 at 112, 6 at 160, 5x6 at 176, 5 at 208, 1x5 at 224, 1 at 240 */
    static const size_t OFFSETS[] = {0, 96, 112, 160, 176, 208, 224, 240, 256};
    for (size_t i = 0; i < G_N_ELEMENTS(OFFSETS); i++)
        g_assert_cmpuint(network.tensors[i].offset, ==, OFFSETS[i]);
    g_assert_cmpuint(network.n_params, ==, 512);
}

static void test_draw(void)
{
    static const size_t LAYERS[] = {64}, HEAD[] = {32};
    struct esp_network network;
    struct esp_network_config config = {*esp_setup_get(ESP_SETUP_CTR), 8, 16, LAYERS, 1, HEAD, 1};
    g_assert_true(esp_network_init(&network, &config, NULL) == ESP_OK);
    float *params = g_new(float, network.n_params), *others = g_new(float, network.n_params);
    esp_network_draw(&network, 1, params);
    esp_network_draw(&network, 2, others);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 64 * 128; i++) {
        sum += params[i];
        squares += (double)params[i] * params[i];
    }
    /* N(0, 2 / 128): the mean of 8192 is within 4 deviations, their mean square within 6 % */
    assert_close(sum / 8192, 0, 0, 4 * sqrt(2.0 / 128 / 8192));
    assert_close(squares / 8192, 2.0 / 128, 0.06, 0);
    g_assert_cmpfloat(params[network.tensors[1].offset], ==, 0);
    g_assert_true(memcmp(params, others, 64 * 128 * sizeof(float)) != 0);
    esp_network_draw(&network, 1, others);
    g_assert_cmpmem(params, network.n_params * sizeof(float), others,
                    network.n_params * sizeof(float));
    g_free(params);
    g_free(others);
}

/* The four parts of 2^16 sum to 0 .. 4 * 65535, the middle being 0: exact answers. */
static void test_normal(void)
{
    g_assert_cmpfloat(esp_normal_of_bits(0), ==, -131070 * 2.6429029e-5F);
    g_assert_cmpfloat(esp_normal_of_bits(UINT64_MAX), ==, 131070 * 2.6429029e-5F);
    g_assert_cmpfloat(esp_normal_of_bits(UINT64_C(0xffffffff)), ==, 0);
}

static void test_refusals(void)
{
    static const size_t LAYERS[] = {8, 0}, HEAD[] = {5};
    struct esp_network network;
    struct esp_network_config config = {*esp_setup_get(ESP_SETUP_CTR), 3, 4, LAYERS, 2, HEAD, 1};
    struct esp_error err = {0};
    g_assert_true(esp_network_init(&network, &config, &err) == ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==, "layers: a layer of 0; choose 1 to 4096");
    config.n_layers = 1;
    config.n_features = 0;
    g_assert_true(esp_network_init(&network, &config, NULL) == ESP_ECONFIG);
    config.n_features = SIZE_MAX / 2;
    g_assert_true(esp_network_init(&network, &config, NULL) == ESP_ECONFIG);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(SETUPS); i++) {
        char *path = g_strdup_printf("/setup/%s/is the paper's", SETUPS[i].name);
        g_test_add_data_func(path, &SETUPS[i], test_setup);
        g_free(path);
    }
    g_test_add_func("/network/layout/tensors are named and aligned", test_layout);
    g_test_add_func("/network/draw/weights are drawn from the seed", test_draw);
    g_test_add_func("/network/draw/a normal of bits by hand", test_normal);
    g_test_add_func("/network/config/bad dimensions are refused", test_refusals);
    return g_test_run();
}
