// libortho from C++17: the header is clean there, and a layer fits a unique_ptr.
#include <ortho/ortho.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

int main()
{
    const int64_t n = 8, k = 33;
    std::vector<float> w(n * k), x(k, 1.0f), y(n, NAN);
    for (std::size_t i = 0; i < w.size(); i++)
        w[i] = 0.01f * static_cast<float>(static_cast<int>(i % 15) - 7);
    ortho_matrix matrix{n, k, k, ORTHO_F32, w.data()};
    ortho_layer *raw = nullptr;
    if (ortho_layer_sieve(&matrix, nullptr, nullptr, &raw) != ORTHO_OK) {
        std::fprintf(stderr, "%s\n", ortho_last_message());
        return 1;
    }
    std::unique_ptr<ortho_layer, decltype(&ortho_layer_free)> layer(raw, ortho_layer_free);
    if (ortho_layer_forward(layer.get(), x.data(), 1, ORTHO_F32, y.data(), nullptr) != ORTHO_OK)
        return 1;
    for (int64_t row = 0; row < n; row++) {
        float sum = 0.0f;
        for (int64_t i = 0; i < k; i++)
            sum += w[static_cast<std::size_t>(row * k + i)];
        if (!(std::fabs(y[static_cast<std::size_t>(row)] - sum) < 0.02f))
            return 1;
    }
    const int version = ORTHO_VERSION_MAJOR * 10000 + ORTHO_VERSION_MINOR * 100;
    return ortho_version() / 100 == version / 100 ? 0 : 1;
}
