// Every Vulkan call of ours that can fail is made to fail once, and allocations of host memory: a
// run of edits on a tiny model then ends with one sentence, the right exit code, no leak (in the
// sanitizers' build), no half-written file and a journal that is whole; --resume ends it with the
// bytes of an undisturbed run.
// By default each function's first, second, middle and last call; OEDIT_INJECT=all: all of them.
#define _GNU_SOURCE
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "io/journal.h"
#include "ref_inject.h"
#include "ref_must.h"
#include "ref_tiny.h"

struct way { // in which the edits are run
    const char *name;
    bool profile, validate, card;
};

enum { FILES = 2, SAID_BYTES = 8192, PATH_BYTES = 400 };
static const char *const file_names[FILES] = {"out.gguf", "out.gguf.journal"};
static struct { // of an undisturbed run
    char *data;
    size_t size;
} whole[FILES];

static char model[PATH_BYTES], facts[PATH_BYTES], text[PATH_BYTES], out[PATH_BYTES];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

// The next run finds nothing of earlier ones but the driver's own cache.
static void forget(void)
{
    for (int i = 0; i < FILES; i++) unlink(tiny_path(file_names[i]));
    nftw(tiny_path("cache"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

// ---- one run, in a process of its own ----

// As main.c does. Never returns.
static void edit(const struct way *way)
{
    struct args args = args_default();
    args.model = model;
    args.requests = facts;
    args.text = text;
    args.out = out;
    args.n = 2;
    args.tokens = 300;
    args.ridge = 0.01f;
    args.steps = 3;
    args.contexts = 2;
    args.guard = 3; // oedit-plus
    args.json = args.resume = true;
    args.profile = way->profile;
    args.validate = way->validate;
    json_watch(); // and cJSON's memory comes from here
    inject->card = way->card;
    inject->watching = true;
    alarm(300);
    bool ok = command_edit(&args);
    inject->watching = false;
    if (!ok) fprintf(stderr, "error: %s\n", status_message());
    if (ok && status_code() != STATUS_OK) {
        fprintf(stderr, "passed over: %s\n", status_message());
        exit(99);
    }
    exit(ok ? STATUS_OK : (int)status_code());
}

// The exit code, or 1000 and the signal; what was said on stderr.
static int run(const struct way *way, char said[static SAID_BYTES])
{
    int status = 0;
    memset(inject->calls, 0, sizeof inject->calls);
    inject->fired = inject->endless = inject->refused = false;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen(tiny_path("said.txt"), "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(98);
        edit(way);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    FILE *file = fopen(tiny_path("said.txt"), "r");
    assert_non_null(file);
    said[fread(said, 1, SAID_BYTES - 1, file)] = '\0';
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// ---- what must hold after it ----

static char title[200]; // of the fault at hand

static unsigned failures;

// What is wrong is told and counted, and the next fault is tried.
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("%s: ", title);                                                            \
            print_error(__VA_ARGS__);                                                              \
            print_error("\n%s", said);                                                             \
            failures++;                                                                            \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool same_as_whole(int file)
{
    char *data = NULL;
    size_t size = 0;
    must(file_read(tiny_path(file_names[file]), &data, &size));
    bool same = size == whole[file].size && memcmp(data, whole[file].data, size) == 0;
    free(data);
    return same;
}

static bool expect_same(const char *said)
{
    for (int i = 0; i < FILES; i++)
        EXPECT(same_as_whole(i), "%s has other bytes than an undisturbed run's", file_names[i]);
    return true;
}

// Only what was there before, and a journal that is whole.
static bool expect_clean(const char *said)
{
    static const char *const known[] = {".", "..", "base.gguf", "facts.jsonl", "text.txt", "cache",
                                        "mesa", "said.txt", "out.gguf.journal"};
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", tiny_path("out.gguf.journal"));
    DIR *folder = opendir(tiny_path("."));
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        bool found = false;
        for (size_t i = 0; i < COUNT(known); i++) found |= strcmp(e->d_name, known[i]) == 0;
        // The report comes behind it: then it is whole.
        if (strcmp(e->d_name, "out.gguf") == 0) found = same_as_whole(0);
        EXPECT(found, "left behind: %s", e->d_name);
    }
    closedir(folder);
    struct journal journal;
    if (access(path, F_OK) != 0) return true;
    must(journal_open(&journal, path, true));
    EXPECT(journal.whole == journal.bytes, "the journal's last record is torn");
    journal_free(&journal);
    return true;
}

// One sentence that names the phase.
static bool expect_told(const char *said, bool phase)
{
    static const char *const phases[] = {
        "open device", "load model", "contexts", "statistics", "prompts", "prepare", "keys",
        "prefix", "steps", "guard", "solve", "update", "report", "save"};
    const char *line = strstr(said, "error: "), *end = line ? strchr(line, '\n') : NULL;
    EXPECT(line && end && !end[1] && end - line > 20, "wanted one sentence at the end");
    bool found = !phase;
    for (size_t i = 0; i < COUNT(phases); i++) {
        size_t length = strlen(phases[i]);
        found |= strncmp(line + 7, phases[i], length) == 0 && line[7 + length] == ':';
    }
    EXPECT(found, "the phase is not named");
    return true;
}

static int code_of(enum inject_function f, VkResult result)
{
    if (f == INJECT_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY ||
        result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return STATUS_NO_MEMORY;
    return inject_table[f].effect == STOPS_3 ? STATUS_NO_DEVICE : STATUS_FAILED;
}

static struct { // over all
    uint64_t calls[INJECT_COUNT + 1], faults[INJECT_COUNT + 1], missed;
} total;

// One fault: the `at`th call of f answers `result`.
static bool fault(const struct way *way, enum inject_function f, uint64_t at, VkResult result)
{
    char said[SAID_BYTES];
    const bool memory = f == INJECT_MEMORY;
    snprintf(title, sizeof title, "%s, call %llu of %s answers %d", way->name,
             (unsigned long long)at, memory ? "malloc" : inject_table[f].name, (int)result);
    forget();
    inject->function = f;
    inject->at = at;
    inject->result = result;
    int code = run(way, said);
    EXPECT(!inject->endless, "what would never have come back was waited for");
    if (!inject->fired) total.missed++; // timing decides how work is cut into submits
    if (!inject->fired || (!memory && inject_table[f].effect == GOES_ON)) {
        EXPECT(code == STATUS_OK, "exit code %d, wanted 0", code);
    } else if (!memory || code != STATUS_OK) { // what only makes things faster may be left away
        EXPECT(code == code_of(f, result), "exit code %d, wanted %d", code, code_of(f, result));
        if (!expect_told(said, !memory && f != INJECT_vkCreateInstance) || !expect_clean(said))
            return false;
    }
    total.faults[f] += inject->fired;
    if (code == STATUS_OK) return expect_same(said);
    inject->function = INJECT_NOTHING;
    code = run(way, said);
    EXPECT(code == STATUS_OK, "resumed: exit code %d", code);
    return expect_same(said);
}

// An undisturbed run: how often each function is called, and the bytes that must come out.
static bool undisturbed(const struct way *way, uint64_t calls[static INJECT_COUNT + 1])
{
    char said[SAID_BYTES];
    snprintf(title, sizeof title, "%s, undisturbed", way->name);
    inject->function = INJECT_NOTHING;
    for (int i = 0; i < 2; i++) { // the first one fills the driver's cache
        forget();
        int code = run(way, said);
        if (inject->refused || (way->validate && code == STATUS_USAGE)) {
            print_message("%s: skipped: %s\n", way->name,
                          way->card ? "the driver has memory of several types"
                                    : "the validation layer is not there");
            return false;
        }
        EXPECT(code == STATUS_OK, "exit code %d", code);
    }
    memcpy(calls, inject->calls, sizeof inject->calls);
    for (int i = 0; i < FILES; i++) {
        free(whole[i].data);
        must(file_read(tiny_path(file_names[i]), &whole[i].data, &whole[i].size));
    }
    return true;
}

static bool asked_for(const char *what)
{
    const char *value = getenv("OEDIT_INJECT");
    return value && strcmp(value, what) == 0;
}

static uint64_t answers(enum inject_function f)
{
    uint64_t count = 0;
    while (count < INJECT_RESULTS && inject_table[f].results[count] != VK_SUCCESS) count++;
    return count;
}

static VkResult result_of(enum inject_function f, uint64_t turn)
{
    return inject_table[f].results[turn % answers(f)];
}

// Each function's first, second, middle and last call, each with another of its answers; a
// function that is called less often than it has answers still gives them all. OEDIT_SHORT: its
// first and its middle call.
static void faults(const struct way *way, enum inject_function f, uint64_t calls)
{
    const bool brief = getenv("OEDIT_SHORT") != NULL;
    const uint64_t at[] = {1, brief ? 0 : 2, brief && way->card ? 0 : calls / 2, brief ? 0 : calls};
    uint64_t turn = 0;
    if (asked_for("all")) {
        for (uint64_t call = 1; call <= calls; call++) fault(way, f, call, result_of(f, call));
        return;
    }
    for (size_t i = 0; i < COUNT(at); i++) {
        bool again = at[i] == 0 || at[i] > calls;
        for (size_t k = 0; k < i; k++) again |= at[k] == at[i];
        if (!again) fault(way, f, at[i], result_of(f, turn++));
    }
    for (; calls && !brief && turn < answers(f); turn++) fault(way, f, 1, result_of(f, turn));
}

static void test_calls(void **state)
{
    (void)state;
    static const struct way ways[] = {
        {.name = "plain"}, {.name = "card", .card = true}, {.name = "profile", .profile = true},
        {.name = "validate", .validate = true}};
    bool validated = true;
    for (size_t i = 0; i < COUNT(ways); i++) {
        uint64_t calls[INJECT_COUNT + 1];
        if (!undisturbed(&ways[i], calls)) {
            validated &= !ways[i].validate;
            continue;
        }
        uint64_t before = 0, after = 0;
        for (int f = 0; f < INJECT_COUNT; f++) before += total.faults[f];
        for (enum inject_function f = 0; f < INJECT_COUNT; f++) {
            // Profile and validation add functions; the others are as they are without.
            if ((ways[i].profile || ways[i].validate) && total.calls[f]) continue;
            total.calls[f] += calls[f];
            faults(&ways[i], f, calls[f]);
        }
        for (int f = 0; f < INJECT_COUNT; f++) after += total.faults[f];
        print_message("%s: %llu faults\n", ways[i].name, (unsigned long long)(after - before));
    }
    uint64_t functions = 0, calls = 0, count = 0;
    for (int f = 0; f < INJECT_COUNT; f++) {
        if (f == INJECT_vkCreateDebugUtilsMessengerEXT && !validated) continue;
        if (!total.faults[f]) fail_msg("%s never failed", inject_table[f].name);
        functions++;
        calls += total.calls[f];
        count += total.faults[f];
    }
    assert_int_equal(failures, 0);
    print_message("%llu functions, %llu calls, %llu faults; %llu not reached, by timing\n",
                  (unsigned long long)functions, (unsigned long long)calls,
                  (unsigned long long)count, (unsigned long long)total.missed);
}

// Every so-and-so-many-th allocation; OEDIT_INJECT=all: every one.
static void test_memory(void **state)
{
    (void)state;
    static const struct way way = {.name = "memory"};
    uint64_t calls[INJECT_COUNT + 1], some = getenv("OEDIT_SHORT") ? 12 : 60;
    assert_true(undisturbed(&way, calls));
    uint64_t all = calls[INJECT_MEMORY], step = asked_for("all") ? 1 : all / some + 1;
    for (uint64_t at = 1; at <= all; at += step) fault(&way, INJECT_MEMORY, at, VK_SUCCESS);
    assert_int_equal(failures, 0);
    print_message("%llu allocations, %llu of them failed\n", (unsigned long long)all,
                  (unsigned long long)total.faults[INJECT_MEMORY]);
}

// ---- the list of functions ----

static bool has_word(const char *text_, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text_; (at = strstr(at, word)); at++)
        if (at[length] == '(' || at[length] == ',' || at[length] == ' ') return true;
    return false;
}

// All of src/vk, which is the only folder that calls Vulkan (tests/layers.sh).
static char *sources(void)
{
    size_t room = 1 << 20, used = 0;
    char *all = calloc(room, 1);
    DIR *folder = opendir("src/vk");
    assert_true(all && folder);
    for (struct dirent *e; (e = readdir(folder));) {
        char path[PATH_BYTES], *data = NULL;
        size_t size = 0, length = strlen(e->d_name);
        if (length < 3 || strcmp(e->d_name + length - 2, ".c") != 0) continue;
        snprintf(path, sizeof path, "src/vk/%s", e->d_name);
        must(file_read(path, &data, &size));
        assert_true(used + size + 1 < room);
        memcpy(all + used, data, size);
        used += size;
        free(data);
    }
    closedir(folder);
    return all;
}

// What Vulkan's header declares with a VkResult and src/ calls is in the list, and nothing else.
static void test_list(void **state)
{
    (void)state;
    static const char begin[] = "typedef VkResult (VKAPI_PTR *PFN_";
    char *header = NULL, *code = sources();
    size_t size = 0, used = 0, declared = 0;
    must(file_read(VULKAN_HEADER, &header, &size));
    for (const char *at = header; (at = strstr(at, begin)); declared++) {
        char name[100];
        at += sizeof begin - 1;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ")"), at);
        bool listed = false;
        for (int f = 0; f < INJECT_COUNT; f++) listed |= strcmp(inject_table[f].name, name) == 0;
        if (has_word(code, name) != listed)
            fail_msg("%s is %s", name,
                     listed ? "in the list, but src/vk does not call it"
                            : "called in src/vk, but never fails: see ref_inject.h");
        used += listed;
    }
    assert_int_equal(used, INJECT_COUNT);
    print_message("%zu of %zu functions with a VkResult are called\n", used, declared);
    free(header);
    free(code);
}

static int open_all(void **state)
{
    (void)state;
    static const struct tiny tiny = {.layers = 3, .dim = 32, .ffn = 64, .heads = 2, .kv_heads = 1,
                                     .head_dim = 16, .vocab = TINY_VOCAB + 6, .context = 256,
                                     .seed = 3};
    tiny_folder_new();
    inject_open();
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    setenv("MESA_SHADER_CACHE_DIR", tiny_path("mesa"), 1);
    snprintf(model, sizeof model, "%s", tiny_path("base.gguf"));
    snprintf(facts, sizeof facts, "%s", tiny_path("facts.jsonl"));
    snprintf(text, sizeof text, "%s", tiny_path("text.txt"));
    snprintf(out, sizeof out, "%s", tiny_path("out.gguf"));
    tiny_write(&tiny, model);
    char *words = tiny_text(500, 7);
    FILE *file = fopen(text, "w");
    if (!file || fputs(words, file) < 0 || fclose(file) != 0) return -1;
    free(words);
    file = fopen(facts, "w");
    if (!file ||
        fputs("{\"prompt\": \"the cat plays in\", \"subject\": \"the cat\", "
              "\"target_new\": \"red\"}\n"
              "{\"prompt\": \"the rome french in\", \"subject\": \"the rome\", "
              "\"target_new\": \"on\"}\n", file) < 0)
        return -1;
    return fclose(file);
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < FILES; i++) free(whole[i].data);
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_calls),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
