#include "backend.h"
#include "bench.h"
#include "commands.h"
#include "message.h"
#include <string.h>

static bool measure(const struct options *o)
{
    struct bench_outcome out;
    struct sweep sweep = {0};
    norma_context *context = NULL;
    norma_device *device = NULL;
    bool good = options_context(o, &context) &&
                succeeded(norma_context_find_device(context, o->device ? o->device : "auto", &device)) &&
                (!o->cold || sweep_start(&sweep, device)) &&
                bench_measure(device, o, o->cold ? &sweep : NULL, true, &out) &&
                (!o->plot_file || bench_plot(&out, o->plot_file));
    if (good && o->json)
        bench_print_json(&out, false, NULL);
    else if (good)
        bench_print_text(&out);
    sweep_finish(&sweep);
    norma_context_destroy(&context);
    return good;
}

int cmd_bench(int argc, const char **argv)
{
    static const struct option_spec one = {OPTIONS_DEVICE | OPTIONS_PROBLEM | OPTIONS_WHOLE | OPTIONS_SHAPE |
                                               OPTIONS_JSON | OPTIONS_BENCH,
                                           "--shape RxD [options]", true, false},
                                    suite = {OPTIONS_DEVICE | OPTIONS_JSON | OPTIONS_SUITE, "--suite [options]", false,
                                             false};
    struct options options;
    bool whole = false;
    for (int i = 1; i < argc; ++i)
        whole = whole || !strcmp(argv[i], "--suite");
    int code = options_parse(argc, argv, whole ? &suite : &one, &options);
    if (code == 0)
        code = whole ? bench_suite(&options) : measure(&options) ? 0 : 1;
    options_finish(&options);
    return code;
}
