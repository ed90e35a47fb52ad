// What the device's compiler makes of every embedded shader: registers, spills, memory, occupancy,
// instructions, fused multiply-adds. Needs VK_KHR_pipeline_executable_properties; made for AMD's
// compiler in Mesa's RADV on its null device, where nothing can run (tests/amd.sh). One row a
// shader and size of workgroup; the names of builds for strict numbers end in _strict.
// usage: amd_stats [--strict] [--unfused] [--markdown] [--shader NAME]
//                  [--disassembly FOLDER]
// --unfused: a fused multiply-add is a failure.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "ops/gemm_coop.h"

// Threads a workgroup that linalg/jacobi.c and ops/gemm.c ask for on a GPU; 64 for who is not here.
static const struct threads {
    const char *op;
    uint32_t sizes[4]; // ended by 0
} threads[] = {
    {"jacobi_gram", {8}},
};
static const struct threads threads_usual = {"", {64}};

enum { NUMBERS = 8, REPRESENTATIONS_MAX = 16, STATISTICS_MAX = 64 };

// A column, and the driver's statistics whose sum it is.
static const struct column {
    const char *name, *first, *second;
} columns[NUMBERS] = {
    {"vgprs", "VGPRs", NULL},
    {"sgprs", "SGPRs", NULL},
    {"spilled", "Spilled VGPRs", "Spilled SGPRs"},
    {"scratch", "Scratch size", NULL},
    {"shared", "LDS size", NULL},
    {"occupancy", "Subgroups per SIMD", NULL},
    {"instructions", "Instructions", NULL},
    {"throughput", "Inverse Throughput", NULL},
};

struct options {
    bool markdown, strict, unfused;
    const char *shader, *disassembly;
};

// Does the shader take its threads from constant_id 0? Looks for OpDecorate (71) _ SpecId (1) 0.
static bool sized(const struct shader *shader)
{
    for (size_t i = 5; i < shader->bytes / 4;) {
        uint32_t words = shader->code[i] >> 16, name = shader->code[i] & 0xffff;
        if (name == 71 && words == 4 && shader->code[i + 2] == 1 && shader->code[i + 3] == 0)
            return true;
        i += words ? words : 1;
    }
    return false;
}

// The fixed threads of a shader that is not: OpExecutionMode (16) _ LocalSize (17) x y z.
static uint32_t fixed_threads(const struct shader *shader)
{
    for (size_t i = 5; i < shader->bytes / 4;) {
        uint32_t words = shader->code[i] >> 16, name = shader->code[i] & 0xffff;
        if (name == 16 && words == 6 && shader->code[i + 2] == 17)
            return shader->code[i + 3] * shader->code[i + 4] * shader->code[i + 5];
        i += words ? words : 1;
    }
    return 0;
}

static bool numbers_read(struct device *dev, VkPipeline pipeline, uint64_t numbers[NUMBERS])
{
    VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                         .pipeline = pipeline};
    VkPipelineExecutableStatisticKHR list[STATISTICS_MAX];
    for (int i = 0; i < STATISTICS_MAX; i++)
        list[i] = (VkPipelineExecutableStatisticKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    uint32_t count = STATISTICS_MAX;
    if (!device_check(dev, dev->vk.vkGetPipelineExecutableStatisticsKHR(dev->handle, &which, &count,
                                                                   list), "reading statistics"))
        return false;
    for (int c = 0; c < NUMBERS; c++) {
        bool first = false, second = columns[c].second == NULL;
        numbers[c] = 0;
        for (uint32_t i = 0; i < count; i++) {
            bool is_first = strcmp(list[i].name, columns[c].first) == 0;
            bool is_second = columns[c].second && strcmp(list[i].name, columns[c].second) == 0;
            if (is_first || is_second) numbers[c] += list[i].value.u64;
            first |= is_first;
            second |= is_second;
        }
        if (!first || !second)
            return fail(STATUS_FAILED, "%s: the driver tells no '%s'; this is for RADV",
                        dev->info.name, first ? columns[c].second : columns[c].first);
    }
    return true;
}

// The texts of a compilation: RADV's are "NIR Shader(s)", "ACO IR" and "Assembly".
struct texts {
    uint32_t count;
    VkPipelineExecutableInternalRepresentationKHR list[REPRESENTATIONS_MAX];
};

static void texts_free(struct texts *texts)
{
    for (uint32_t i = 0; i < texts->count; i++) free(texts->list[i].pData);
    *texts = (struct texts){0};
}

static bool texts_read(struct device *dev, VkPipeline pipeline, const char *shader,
                       struct texts *texts)
{
    VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                         .pipeline = pipeline};
    *texts = (struct texts){.count = REPRESENTATIONS_MAX};
    for (int i = 0; i < REPRESENTATIONS_MAX; i++)
        texts->list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    // The first call tells the sizes, the second the texts.
    PFN_vkGetPipelineExecutableInternalRepresentationsKHR get =
        dev->vk.vkGetPipelineExecutableInternalRepresentationsKHR;
    bool ok = device_check(dev, get(dev->handle, &which, &texts->count, texts->list),
                           "reading the disassembly");
    for (uint32_t i = 0; ok && i < texts->count; i++) {
        texts->list[i].pData = calloc(texts->list[i].dataSize + 1, 1);
        ok = texts->list[i].pData ||
             fail(STATUS_NO_MEMORY, "%s: no memory for its disassembly", shader);
    }
    return ok && device_check(dev, get(dev->handle, &which, &texts->count, texts->list),
                              "reading the disassembly");
}

// FOLDER/SHADER-THREADS.KIND: RADV's kinds become nirshader, acoir and assembly.
static bool text_write(const char *folder, const char *shader, uint32_t size, const char *kind,
                       const char *text)
{
    char path[4096], end[64] = "";
    size_t length = 0;
    for (const char *c = kind; *c && *c != '(' && length + 1 < sizeof end; c++)
        if (*c != ' ') end[length++] = (char)tolower((unsigned char)*c);
    snprintf(path, sizeof path, "%s/", folder);
    if (!file_make_folders(path)) return false;
    snprintf(path, sizeof path, "%s/%s-%u.%s", folder, shader, size, end);
    struct file_out out = {0};
    return file_out_open(&out, path) &&
           file_out_close(&out, file_out_write(&out, text, strlen(text)));
}

// Does an instruction multiply and add floats with one rounding? Of the ISA documents of GCN 5 to
// RDNA 4: v_fma*, v_fmac*, v_pk_fma_*, v_dual_fmac_*, v_dot*, v_wmma_*, s_fma*, where the name
// holds a float type. v_mad_f32 and v_mac_f32 of GCN round the product, too (LLVM selects them for
// ISD::FMAD, "the same result as the separately rounded operations"), and v_mad_u64_u32 is of
// integers.
static bool is_fused(const char *word, size_t length)
{
    static const char *const products[] = {"fma", "dot", "wmma"};
    static const char *const types[] = {"_f16", "_f32", "_f64", "_bf16"};
    char name[64];
    if (length < 3 || length >= sizeof name || (word[0] != 'v' && word[0] != 's') || word[1] != '_')
        return false;
    memcpy(name, word, length);
    name[length] = '\0';
    bool product = false, floats = false;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        product |= strstr(name, products[i]) != NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        floats |= strstr(name, types[i]) != NULL;
    return product && floats;
}

// Is a factor of this instruction a constant power of two? Its product is exact, so that one
// rounding and two are the same: the compiler may fuse it even where the shader says NoContraction.
// LLVM writes "NAME to, factor, factor, ..", the compiler itself "to = NAME factor, factor, ..".
static bool is_exact(const char *line, const char *word, size_t length)
{
    static const char *const powers[] = {"0.5", "1.0", "2.0", "4.0"};
    const char *c = word + length;
    bool skip = memchr(line, '=', (size_t)(word - line)) == NULL;
    for (int operand = 0; operand < 2 + skip; operand++) {
        c += strspn(c, " ,-|");
        size_t size = strcspn(c, " ,|\n");
        for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
            if ((operand > 0 || !skip) && size == 3 && memcmp(c, powers[i], 3) == 0) return true;
        c += strcspn(c, ",\n");
    }
    return false;
}

// Counts fused multiply-adds in the machine code; *first is the line of the first one. Where LLVM
// does not know the card, the text under this name is the compiler's own print of the same code.
static bool fused_count(const struct texts *texts, const char *shader, uint64_t *count,
                        const char **first)
{
    const char *text = NULL;
    for (uint32_t i = 0; i < texts->count; i++)
        if (texts->list[i].isText && strcmp(texts->list[i].name, "Assembly") == 0)
            text = texts->list[i].pData;
    if (!text || !strstr(text, "s_endpgm"))
        return fail(STATUS_FAILED, "%s: the driver tells no 'Assembly' up to s_endpgm; this is for "
                                   "RADV", shader);
    *count = 0;
    const char *line = text;
    for (const char *c = text; *c; c++) {
        if (*c == '\n') line = c + 1;
        if (c > text && (isalnum((unsigned char)c[-1]) || c[-1] == '_')) continue;
        size_t length = 0;
        while (isalnum((unsigned char)c[length]) || c[length] == '_') length++;
        if (is_fused(c, length) && !is_exact(line, c, length) && (*count)++ == 0) *first = line;
    }
    return true;
}

static void head_print(bool markdown)
{
    printf(markdown ? "| shader | threads |" : "shader\tthreads");
    for (int c = 0; c < NUMBERS; c++) printf(markdown ? " %s |" : "\t%s", columns[c].name);
    printf(markdown ? " fused |\n|---|---|---|" : "\tfused\n");
    for (int c = 0; c < NUMBERS && markdown; c++) printf("---|");
    if (markdown) printf("\n");
}

static bool row_print(const struct options *options, const struct texts *texts, const char *name,
                      uint32_t size, const uint64_t numbers[NUMBERS])
{
    uint64_t fused = 0;
    const char *first = "";
    if (!fused_count(texts, name, &fused, &first)) return false;
    printf(options->markdown ? "| %s | %u |" : "%s\t%u", name, size);
    for (int c = 0; c < NUMBERS; c++)
        printf(options->markdown ? " %llu |" : "\t%llu", (unsigned long long)numbers[c]);
    printf(options->markdown ? " %llu |\n" : "\t%llu\n", (unsigned long long)fused);
    if (options->disassembly)
        for (uint32_t i = 0; i < texts->count; i++)
            if (texts->list[i].isText &&
                !text_write(options->disassembly, name, size, texts->list[i].name,
                            texts->list[i].pData))
                return false;
    if (options->unfused && fused > 0) {
        while (isspace((unsigned char)*first)) first++;
        return fail(STATUS_FAILED, "%s (%u threads): got %llu fused multiply-adds, wanted none: "
                                   "%.*s", name, size, (unsigned long long)fused,
                    (int)strcspn(first, ";\n"), first);
    }
    return true;
}

static bool row(struct device *dev, const struct options *options, const struct shader *shader,
                uint32_t size)
{
    VkPipeline pipeline;
    uint64_t numbers[NUMBERS];
    char name[128];
    size_t length = strlen(shader->name);
    bool ends = length > 7 && strcmp(shader->name + length - 7, "_strict") == 0;
    snprintf(name, sizeof name, "%s%s", shader->name, options->strict && !ends ? "_strict" : "");
    if (!device_pipeline(dev, shader, size, &pipeline) || !numbers_read(dev, pipeline, numbers))
        return false;
    struct texts texts = {0};
    bool ok = texts_read(dev, pipeline, name, &texts) &&
              row_print(options, &texts, name, size, numbers);
    texts_free(&texts);
    return ok;
}

static bool table(struct device *dev, const struct options *options)
{
    uint32_t rows = 0;
    head_print(options->markdown);
    for (uint32_t i = 0; i < op_build_count(); i++) {
        enum op op;
        bool fast, strict;
        const struct shader *shader = op_build_shader(i, &op, &fast, &strict);
        if (!(dev->strict ? strict : fast)) continue;
        if (options->shader && strcmp(shader->name, options->shader) != 0) continue;
        if (shader->matrix_units) {
            if (!dev->info.matrix_units) continue;
            if (!row(dev, options, shader, gemm_coop_local(dev))) return false;
            rows++;
            continue;
        }
        if (!sized(shader)) {
            if (!row(dev, options, shader, fixed_threads(shader))) return false;
            rows++;
            continue;
        }
        if (shader->width == 1) { // shared_tile.glsl
            if (!row(dev, options, shader, 256)) return false;
            rows++;
            continue;
        }
        const struct threads *t = &threads_usual;
        for (size_t k = 0; k < sizeof threads / sizeof *threads; k++)
            if (strcmp(threads[k].op, op_names[op]) == 0) t = &threads[k];
        for (int k = 0; k < 4 && t->sizes[k]; k++, rows++)
            if (!row(dev, options, shader, t->sizes[k])) return false;
    }
    return rows > 0 ||
           fail(STATUS_USAGE, "--shader: this device runs none called '%s'", options->shader);
}

static bool options_read(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool shader = strcmp(word, "--shader") == 0, folder = strcmp(word, "--disassembly") == 0;
        bool *flag = strcmp(word, "--markdown") == 0  ? &options->markdown
                     : strcmp(word, "--strict") == 0  ? &options->strict
                     : strcmp(word, "--unfused") == 0 ? &options->unfused
                                                      : NULL;
        if (flag) {
            *flag = true;
            continue;
        }
        if (!shader && !folder)
            return fail(STATUS_USAGE, "unknown option '%s', wanted --strict, --unfused, "
                                      "--markdown, --shader NAME or --disassembly FOLDER", word);
        if (!value) return fail(STATUS_USAGE, "%s wants a value", word);
        *(shader ? &options->shader : &options->disassembly) = value;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct device dev = {0};
    if (options_read(&options, argc, argv) &&
        device_open(&dev, &(struct device_options){.inspect = true, .strict = options.strict})) {
        fprintf(stderr, "device: %s | %s\n", dev.info.name, dev.info.driver);
        table(&dev, &options);
    }
    if (status_code() != STATUS_OK) fprintf(stderr, "amd_stats: %s\n", status_message());
    fflush(NULL);
    _Exit((int)status_code()); // the null device is not made to be taken down
}
