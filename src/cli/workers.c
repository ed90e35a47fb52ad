#include "cli/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"

// Ends of a worker in a row after which a device gets no more; tries of a task.
enum { STRIKES = 3, TRIES = 3 };

struct worker {
    struct process process;
    struct task *task;
    uint32_t device, strikes;
    bool out; // gets no more
    double started;
    char line[1024]; // of what it says, up to here
    size_t length;
};

struct crew {
    struct workers *w;
    struct worker *workers; // [count], one a device
    uint32_t count;
    bool stopping, shown;
    double told;
};

// ---- what a worker says ----

static void line_clear(struct crew *c)
{
    if (c->shown) fputs("\r\033[K", stderr);
    c->shown = false;
}

static void said(struct crew *c, struct worker *k)
{
    static const char warning[] = "warning: ", error[] = "error: ";
    k->line[k->length] = '\0';
    const char *text = k->line;
    k->length = 0;
    if (!*text) return;
    line_clear(c);
    if (strncmp(text, warning, sizeof warning - 1) == 0) {
        log_warn("%s: %s", k->task->id, text + sizeof warning - 1);
        return;
    }
    log_detail("%s: %s", k->task->id, text);
    if (strncmp(text, error, sizeof error - 1) == 0) text += sizeof error - 1;
    snprintf(k->task->said, sizeof k->task->said, "%s", text);
}

static void listen(struct crew *c, struct worker *k)
{
    char text[4096];
    for (size_t got; (got = process_read(&k->process, text, sizeof text)) > 0;)
        for (size_t i = 0; i < got; i++)
            if (text[i] == '\n') said(c, k);
            else if (k->length + 1 < sizeof k->line) k->line[k->length++] = text[i];
}

// ---- starting ----

static bool may_run(const struct crew *c, const struct task *t, uint32_t device)
{
    if (t->state != TASK_WAITING || (t->after && t->after->state != TASK_DONE)) return false;
    if (!t->tries || t->failed != device) return true;
    for (uint32_t i = 0; i < c->count; i++) // elsewhere, where there is such
        if (!c->workers[i].out && c->workers[i].device != device) return false;
    return true;
}

static bool start(struct crew *c, struct worker *k, struct task *t)
{
    const struct args *args = c->w->args;
    char device[16];
    const size_t own = (size_t)args->line_count;
    const char **words =
        mem_new(own + sizeof t->words / sizeof *t->words + 4, sizeof *words, "words");
    size_t count = 0;
    if (!words) return false;
    for (size_t i = 0; i < own; i++) words[count++] = args->line[i];
    snprintf(device, sizeof device, "%u", k->device);
    words[count++] = "--device";
    words[count++] = device;
    for (size_t i = 0; i < sizeof t->words / sizeof *t->words && t->words[i]; i++)
        words[count++] = t->words[i];
    k->length = 0;
    bool ok = process_start(&k->process, words);
    free(words);
    if (!ok) return false;
    k->task = t;
    k->started = log_clock();
    t->state = TASK_RUNNING;
    t->said[0] = '\0';
    t->tries++;
    line_clear(c);
    log_say("%s on device %u%s", t->id, k->device, t->tries > 1 ? ", once more" : "");
    return true;
}

static bool start_all(struct crew *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct worker *k = &c->workers[i];
        for (uint32_t n = 0; n < c->w->count && !k->process.id && !k->out; n++)
            if (may_run(c, &c->w->tasks[n], k->device) && !start(c, k, &c->w->tasks[n]))
                return false;
    }
    return true;
}

// ---- ending ----

static void how_ended(const struct task *t, char *text, size_t size)
{
    if (t->code < 0) snprintf(text, size, "killed by signal %d", -t->code);
    else snprintf(text, size, "%.900s", t->said[0] ? t->said : "it said nothing");
}

static void strike(struct crew *c, struct worker *k)
{
    bool others = false;
    for (uint32_t i = 0; i < c->count; i++)
        others = others || (!c->workers[i].out && c->workers[i].device != k->device);
    k->strikes++;
    if (k->task->code != STATUS_NO_DEVICE && (k->strikes < STRIKES || !others)) return;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->workers[i].device == k->device) c->workers[i].out = true;
    log_warn("device %u gets no more %ss", k->device, c->w->what);
}

// Bad usage and bad data are the same elsewhere.
static bool again(const struct task *t)
{
    return t->tries < TRIES && t->code != STATUS_USAGE && t->code != STATUS_BAD_DATA;
}

static void ended(struct crew *c, struct worker *k, int code)
{
    struct task *t = k->task;
    char how[1024];
    t->code = code;
    line_clear(c);
    if (code == STATUS_OK) {
        t->state = TASK_DONE;
        k->strikes = 0;
        log_say("%s is done, %.0f s on device %u", t->id, log_clock() - k->started, k->device);
    } else if (c->stopping || !interrupt_check()) {
        t->state = TASK_WAITING;
    } else {
        how_ended(t, how, sizeof how);
        t->state = again(t) ? TASK_WAITING : TASK_FAILED;
        t->failed = k->device;
        if (t->state == TASK_WAITING || c->w->count > 1)
            log_warn("%s on device %u: %s%s", t->id, k->device, how,
                     t->state == TASK_WAITING ? "; it is tried again" : "");
        strike(c, k);
    }
    k->task = NULL;
}

static void collect(struct crew *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct worker *k = &c->workers[i];
        int code;
        if (!k->process.id) continue;
        const bool over = process_ended(&k->process, &code);
        listen(c, k);
        if (!over) continue;
        said(c, k); // a line without an end
        process_close(&k->process);
        ended(c, k, code);
    }
}

// ---- progress ----

static void progress(struct crew *c)
{
    enum { EVERY = 30 };
    const bool terminal = isatty(STDERR_FILENO);
    const double now = log_clock();
    char text[400] = "";
    size_t length = 0;
    uint32_t done = 0;
    if (c->w->args->quiet || now - c->told < (terminal ? 0.5 : EVERY)) return;
    c->told = now;
    for (uint32_t i = 0; i < c->w->count; i++) done += c->w->tasks[i].state == TASK_DONE;
    length += (size_t)snprintf(text, sizeof text, "%u of %u %ss", done, c->w->count, c->w->what);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct worker *k = &c->workers[i];
        char far[64] = "";
        if (!k->task || length + 1 >= sizeof text) continue;
        if (c->w->progress) c->w->progress(c->w->user, k->task, far, sizeof far);
        if (!*far) snprintf(far, sizeof far, "%.40s", k->task->said);
        length += (size_t)snprintf(text + length, sizeof text - length, "; %u: %s %s", k->device,
                                   k->task->id, far);
    }
    if (!terminal) {
        log_say("%s", text);
        return;
    }
    fprintf(stderr, "\r%.*s\033[K", 110, text);
    fflush(stderr);
    c->shown = true;
}

// ---- all ----

static bool running(const struct crew *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->workers[i].process.id) return true;
    return false;
}

// The first Ctrl-C: each worker stops where that loses nothing.
static void stop(struct crew *c)
{
    c->stopping = true;
    for (uint32_t i = 0; i < c->count; i++) process_stop(&c->workers[i].process);
}

static bool verdict(const struct crew *c)
{
    const struct workers *w = c->w;
    const struct task *first = NULL;
    char how[1024];
    uint32_t done = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct task *t = &w->tasks[i];
        done += t->state == TASK_DONE;
        if (t->state != TASK_DONE && (!first || (t->tries && !first->tries))) first = t;
    }
    if (!first) return true;
    if (!first->tries)
        return fail(STATUS_FAILED, "%u of %u %ss are not done: no device is left", w->count - done,
                    w->count, w->what);
    how_ended(first, how, sizeof how);
    const enum status code = first->code > 0 ? (enum status)first->code : STATUS_FAILED;
    if (w->count == 1) return fail(code, "%s", how);
    return fail(code, "%u of %u %ss failed; %s: %s", w->count - done, w->count, w->what, first->id,
                how);
}

static bool work(struct crew *c)
{
    struct process *all[CHOSEN_MOST];
    bool ok = true;
    for (uint32_t i = 0; i < c->count; i++) all[i] = &c->workers[i].process;
    while (true) {
        if (ok && !c->stopping && !interrupt_check()) stop(c);
        if (ok && !c->stopping && !start_all(c)) {
            ok = false;
            stop(c);
        }
        if (!running(c)) break;
        process_wait(all, c->count, 200);
        collect(c);
        progress(c);
    }
    line_clear(c);
    return ok && !c->stopping && verdict(c);
}

bool workers_run(struct workers *w)
{
    struct crew c = {.w = w, .count = w->devices->count, .told = log_clock()};
    c.workers = mem_new(c.count, sizeof *c.workers, "workers");
    if (!c.workers) return false;
    for (uint32_t i = 0; i < c.count; i++) {
        c.workers[i].device = w->devices->devices[i].index;
        c.workers[i].process.pipe = -1;
    }
    interrupt_watch();
    bool ok = work(&c);
    free(c.workers);
    return ok;
}
