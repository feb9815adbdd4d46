// What the numeric contract asks of float32 arithmetic and SPIR-V leaves to the driver: denormals kept, NaN and
// infinities honoured, rounding to nearest even. A module is told so where the driver promises it (VK_KHR_shader_float_
// controls); instructions' layout from the SPIR-V specification, 2.3 and 2.4.
#include "nvk.h"
#include <assert.h>
#include <string.h>

enum { HEADER = 5, CAPABILITY = 17, EXTENSION = 10, ENTRY_POINT = 15, EXECUTION_MODE = 16 };
enum { CAPABILITY_WORDS = 2, MODE_WORDS = 4, NAME_WORDS = 6, WIDTH = 32 };

// Each execution mode has a capability; bits of nvk_device.float_controls.
static const struct {
    uint32_t bit, mode, capability;
} controls[] = {{NVK_KEEPS_DENORMALS, 4459, 4464}, {NVK_KEEPS_NONFINITE, 4461, 4466}, {NVK_ROUNDS_TO_EVEN, 4462, 4467}};
enum { CONTROLS = sizeof controls / sizeof *controls };

static uint32_t opcode(const uint32_t *instruction)
{
    return *instruction & 0xffff;
}

static uint32_t length(const uint32_t *instruction)
{
    return *instruction >> 16;
}

struct out {
    uint32_t *words;
    size_t count;
};

static void put(struct out *out, const uint32_t *words, size_t count)
{
    memcpy(out->words + out->count, words, count * sizeof(*words));
    out->count += count;
}

static void put_capabilities(struct out *out, uint32_t bits)
{
    static const char name[NAME_WORDS * sizeof(uint32_t)] = "SPV_KHR_float_controls";
    uint32_t extension[1 + NAME_WORDS] = {(1 + NAME_WORDS) << 16 | EXTENSION};
    for (int i = 0; i < CONTROLS; i++)
        if (bits & controls[i].bit)
            put(out, (const uint32_t[]){CAPABILITY_WORDS << 16 | CAPABILITY, controls[i].capability}, CAPABILITY_WORDS);
    memcpy(extension + 1, name, sizeof(name));
    put(out, extension, 1 + NAME_WORDS);
}

static void put_modes(struct out *out, uint32_t bits, uint32_t entry)
{
    for (int i = 0; i < CONTROLS; i++)
        if (bits & controls[i].bit)
            put(out, (const uint32_t[]){MODE_WORDS << 16 | EXECUTION_MODE, entry, controls[i].mode, WIDTH}, MODE_WORDS);
}

norma_status nvk_control_floats(const struct nvk_device *d, const uint32_t *code, size_t size, uint32_t **out,
                                size_t *out_size)
{
    const size_t words = size / sizeof(*code);
    const size_t most = words + CONTROLS * (CAPABILITY_WORDS + MODE_WORDS) + 1 + NAME_WORDS;
    struct out o = {norma_alloc(d->allocator, most * sizeof(*code)), 0};
    size_t from = 0, at = HEADER;
    if (!o.words)
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "out of host memory");
    while (opcode(code + at) == CAPABILITY)
        at += length(code + at);
    put(&o, code, at);
    put_capabilities(&o, d->float_controls);
    from = at;
    while (opcode(code + at) != ENTRY_POINT) // each of our modules has one
        at += length(code + at);
    const uint32_t entry = code[at + 2];
    at += length(code + at);
    put(&o, code + from, at - from);
    put_modes(&o, d->float_controls, entry);
    put(&o, code + at, words - at);
    assert(o.count <= most);
    *out = o.words;
    *out_size = o.count * sizeof(*code);
    return NORMA_OK;
}
