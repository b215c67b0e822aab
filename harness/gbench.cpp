/*
 * Google Benchmark behind a C API.
 *
 * The library keeps one registry for the whole process. A handle therefore only remembers its
 * cases; a run registers them, runs, and clears the registry again, whatever happens, so that
 * nothing of one handle is left for the next. The library offers no way of its own to run two
 * registries at once: a second run at the same time is refused.
 *
 * The library must not decide anything that our sampler decides: one iteration a repetition, the
 * time handed over by hand. It ends the process over what it thinks a misuse (a benchmark that
 * doesn't finish its loop, 0 repetitions), so all of that is checked here first.
 */
#include "harness/gbench.h"

extern "C" {
#include "common/error.h"
}

#include <benchmark/benchmark.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <vector>

namespace
{

struct gbench_case {
    std::string name;
    int repetitions;
    ob_gbench_sample_fn sample;
    void *ctx;
    int taken;         /* samples asked for so far */
    std::string error; /* not empty: the case is over */
};

} // namespace

struct ob_gbench {
    std::vector<gbench_case> cases;
};

namespace
{

/* Sole use of the library's registry, and a registry left empty. */
class registry_lease
{
  public:
    registry_lease() : held_(!busy().test_and_set())
    {
    }
    ~registry_lease()
    {
        if (!held_)
            return;
        benchmark::ClearRegisteredBenchmarks();
        busy().clear();
    }
    registry_lease(const registry_lease &) = delete;
    registry_lease &operator=(const registry_lease &) = delete;
    bool held() const
    {
        return held_;
    }

  private:
    static std::atomic_flag &busy()
    {
        static std::atomic_flag flag = ATOMIC_FLAG_INIT;
        return flag;
    }
    bool held_;
};

/* Asks the caller for a sample; whatever goes wrong becomes the case's error. */
double take_sample(gbench_case &c)
{
    char text[512] = "";
    double seconds = -1.0;
    try {
        seconds = c.sample(c.ctx, c.taken++, text, sizeof text);
    } catch (const std::exception &e) {
        std::strncpy(text, e.what(), sizeof text - 1);
        seconds = -1.0;
    } catch (...) {
        std::strncpy(text, "the sampler threw something that is no std::exception",
                     sizeof text - 1);
        seconds = -1.0;
    }
    text[sizeof text - 1] = '\0';
    if (std::isfinite(seconds) && seconds >= 0.0)
        return seconds;
    if (text[0] != '\0')
        c.error = text;
    else
        c.error = seconds < 0.0 ? "the sampler failed and left no message"
                                : "the sampler returned a time that is not finite";
    return 0.0;
}

/* What the library calls, once a repetition. */
void run_repetition(benchmark::State &state, gbench_case &c)
{
    for (auto iteration : state) {
        (void)iteration;
        double seconds = c.error.empty() ? take_sample(c) : 0.0;
        if (!c.error.empty()) {
            state.SkipWithError(c.error.c_str());
            break;
        }
        state.SetIterationTime(seconds);
    }
}

void register_case(gbench_case &c)
{
    c.taken = 0;
    c.error.clear();
    benchmark::RegisterBenchmark(c.name.c_str(),
                                 [&c](benchmark::State &state) { run_repetition(state, c); })
        ->Iterations(1)
        ->Repetitions(c.repetitions)
        ->ReportAggregatesOnly(false)
        ->UseManualTime();
}

/* Runs what is registered; returns the library's JSON. *matched: cases that it ran. */
std::string run_registered(std::size_t *matched)
{
    std::ostringstream report, complaints;
    benchmark::JSONReporter reporter;
    reporter.SetOutputStream(&report);
    reporter.SetErrorStream(&complaints);
    *matched = benchmark::RunSpecifiedBenchmarks(&reporter, nullptr, ".");
    return report.str();
}

ortho_status verdict(const ob_gbench &g, std::size_t matched)
{
    if (matched != g.cases.size())
        return ortho_fail(ORTHO_E_INTERNAL, "Google Benchmark ran %zu of %zu cases", matched,
                          g.cases.size());
    for (const gbench_case &c : g.cases)
        if (!c.error.empty())
            return ortho_fail(ORTHO_E_WRONG, "%s: %s", c.name.c_str(), c.error.c_str());
    /* BENCHMARK_* variables in the environment can change what the library does. */
    for (const gbench_case &c : g.cases)
        if (c.taken != c.repetitions)
            return ortho_fail(ORTHO_E_INTERNAL, "%s: Google Benchmark took %d of %d samples",
                              c.name.c_str(), c.taken, c.repetitions);
    return ORTHO_OK;
}

char *copied(const std::string &text)
{
    char *copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy == nullptr)
        throw std::bad_alloc();
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

/* Runs a body whose exceptions become statuses: none may reach C. */
template <typename body_type> ortho_status guarded(const char *what, body_type body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory", what);
    } catch (const std::exception &e) {
        return ortho_fail(ORTHO_E_INTERNAL, "%s: %s", what, e.what());
    } catch (...) {
        return ortho_fail(ORTHO_E_INTERNAL, "%s: an unknown exception", what);
    }
}

} // namespace

extern "C" ortho_status ob_gbench_new(ob_gbench **out)
{
    if (out == nullptr)
        return ortho_fail(ORTHO_E_ARGUMENT, "ob_gbench_new: out is NULL");
    return guarded("ob_gbench_new", [&] {
        *out = new ob_gbench();
        return ORTHO_OK;
    });
}

extern "C" void ob_gbench_free(ob_gbench *g)
{
    delete g;
}

extern "C" ortho_status ob_gbench_add(ob_gbench *g, const char *name, int repetitions,
                                      ob_gbench_sample_fn sample, void *ctx)
{
    if (g == nullptr || name == nullptr || name[0] == '\0' || sample == nullptr)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "ob_gbench_add: a handle, a name and a sampler, please");
    if (repetitions < 1)
        return ortho_fail(ORTHO_E_ARGUMENT, "ob_gbench_add: %s: %d repetitions, wanted >= 1", name,
                          repetitions);
    return guarded("ob_gbench_add", [&] {
        g->cases.push_back(gbench_case{name, repetitions, sample, ctx, 0, std::string()});
        return ORTHO_OK;
    });
}

extern "C" ortho_status ob_gbench_run(ob_gbench *g, char **json)
{
    if (g == nullptr || json == nullptr)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "ob_gbench_run: a handle and a place for the report, please");
    if (g->cases.empty())
        return ortho_fail(ORTHO_E_NOT_FOUND, "Google Benchmark has no case to run");
    return guarded("ob_gbench_run", [&] {
        registry_lease lease;
        if (!lease.held())
            return ortho_fail(ORTHO_E_UNSUPPORTED,
                              "another Google Benchmark run is at work in this process");
        for (gbench_case &c : g->cases)
            register_case(c);
        std::size_t matched = 0;
        std::string report = run_registered(&matched);
        ortho_status status = verdict(*g, matched);
        if (status == ORTHO_OK || status == ORTHO_E_WRONG)
            *json = copied(report);
        return status;
    });
}

extern "C" const char *ob_gbench_version(void)
{
    return OB_GBENCH_VERSION;
}
