// libortho from C++17: the header is clean there, and handles fit a unique_ptr. The whole cycle:
// sieve, save, load, forward. usage: smoke [FILE]
#include <ortho/ortho.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

using layer_ptr = std::unique_ptr<ortho_layer, decltype(&ortho_layer_free)>;
using artifact_ptr = std::unique_ptr<ortho_artifact, decltype(&ortho_artifact_close)>;

const int64_t n = 8, k = 33;

void check(ortho_status status)
{
    if (status != ORTHO_OK)
        throw std::runtime_error(ortho_last_message());
}

layer_ptr sieve(const std::vector<float> &w)
{
    const ortho_matrix matrix{n, k, k, ORTHO_F32, w.data()};
    ortho_layer *raw = nullptr;
    check(ortho_layer_sieve(&matrix, nullptr, nullptr, &raw));
    return layer_ptr(raw, ortho_layer_free);
}

void save(const ortho_layer *layer, const char *path)
{
    ortho_writer *writer = nullptr;
    check(ortho_writer_open(path, &writer));
    if (ortho_layer_save(layer, writer, "layer") != ORTHO_OK) {
        const std::string why = ortho_last_message();
        ortho_writer_abort(writer);
        throw std::runtime_error(why);
    }
    check(ortho_writer_commit(writer));
}

layer_ptr load(const char *path)
{
    ortho_artifact *opened = nullptr;
    ortho_layer *raw = nullptr;
    check(ortho_artifact_open(path, &opened));
    const artifact_ptr artifact(opened, ortho_artifact_close);
    ortho_layer_options options{};
    options.size = sizeof options;
    options.device = ORTHO_DEVICE_CPU;
    check(ortho_layer_load(artifact.get(), "layer", &options, &raw));
    return layer_ptr(raw, ortho_layer_free);
}

bool is_right(const ortho_layer *layer, const std::vector<float> &w)
{
    const std::vector<float> x(k, 1.0f);
    std::vector<float> y(n, NAN);
    check(ortho_layer_forward(layer, x.data(), 1, ORTHO_F32, y.data(), nullptr));
    for (std::size_t row = 0; row < y.size(); row++) {
        float sum = 0.0f;
        for (std::size_t i = 0; i < x.size(); i++)
            sum += w[row * x.size() + i];
        if (!(std::fabs(y[row] - sum) < 0.02f))
            return false;
    }
    return true;
}

// The layer twice in one call, and a pass of it, give what it gives alone.
bool shares_x(const ortho_layer *layer)
{
    using pass_ptr = std::unique_ptr<ortho_pass, decltype(&ortho_pass_free)>;
    const std::vector<float> x(k, 1.0f);
    std::vector<float> alone(n), first(n, NAN), second(n, NAN), all(2 * n, NAN);
    const ortho_layer *const layers[] = {layer, layer};
    void *const y[] = {first.data(), second.data()};
    const ortho_pass_step steps[] = {{layer, -1, 1.0f}, {layer, -1, 0.5f}};
    ortho_pass *raw = nullptr;
    check(ortho_layer_forward(layer, x.data(), 1, ORTHO_F32, alone.data(), nullptr));
    check(ortho_group_forward(layers, 2, x.data(), 1, ORTHO_F32, y, nullptr));
    check(ortho_pass_create(steps, 2, ORTHO_F32, &raw));
    const pass_ptr pass(raw, ortho_pass_free);
    check(ortho_pass_forward(pass.get(), x.data(), all.data(), nullptr));
    for (std::size_t i = 0; i < alone.size(); i++)
        if (first[i] != alone[i] || second[i] != alone[i] || all[i] != alone[i] ||
            all[alone.size() + i] != 0.5f * alone[i])
            return false;
    return true;
}

} // namespace

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "smoke-cxx.safetensors";
    std::vector<float> w(n * k);
    for (std::size_t i = 0; i < w.size(); i++)
        w[i] = 0.01f * static_cast<float>(static_cast<int>(i % 15) - 7);
    try {
        check(ortho_check_version(ORTHO_VERSION));
        const layer_ptr layer = sieve(w);
        save(layer.get(), path);
        const layer_ptr loaded = load(path);
        std::remove(path);
        return is_right(layer.get(), w) && is_right(loaded.get(), w) && shares_x(loaded.get()) ? 0
                                                                                               : 1;
    } catch (const std::runtime_error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
