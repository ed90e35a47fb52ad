#define _GNU_SOURCE
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/status.h"

bool process_possible(void)
{
    return true;
}

// Behind fork: only what is safe there. The name in /proc is this program's, wherever it lies.
static void become(char *const *words, int said, int parent)
{
    static const char error[] = "error: cannot start this program once more\n";
    int nothing = open("/dev/null", O_RDWR);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
        dup2(nothing, STDOUT_FILENO) >= 0 && dup2(said, STDERR_FILENO) >= 0)
        execv("/proc/self/exe", words);
    ssize_t written = write(said, error, sizeof error - 1);
    (void)written;
    raise(SIGKILL); // without what an ordinary end would flush or undo of the parent's
}

bool process_start(struct process *p, const char *const *words)
{
    enum { WORDS_MOST = 4200 };
    static char name[] = "oedit";
    char *all[WORDS_MOST] = {name};
    int ends[2], parent = (int)getpid();
    *p = (struct process){.pipe = -1};
    for (size_t i = 0; words[i]; i++) {
        if (i + 2 >= WORDS_MOST) return fail(STATUS_USAGE, "more than %d words", WORDS_MOST - 2);
        all[i + 1] = (char *)(uintptr_t)words[i]; // execv changes none
    }
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(STATUS_FAILED, "cannot make a pipe: %s", strerror(errno));
    pid_t id = fork();
    if (id == 0) become(all, ends[1], parent);
    close(ends[1]);
    if (id < 0) {
        close(ends[0]);
        return fail(STATUS_FAILED, "cannot start a process: %s", strerror(errno));
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *p = (struct process){.id = (int)id, .pipe = ends[0]};
    return true;
}

void process_wait(struct process *const *processes, size_t count, int milliseconds)
{
    enum { MOST = 256 };
    struct pollfd ends[MOST];
    nfds_t open = 0;
    for (size_t i = 0; i < count && open < MOST; i++)
        if (processes[i]->id && processes[i]->pipe >= 0)
            ends[open++] = (struct pollfd){.fd = processes[i]->pipe, .events = POLLIN};
    poll(ends, open, milliseconds); // a signal ends it, too
}

size_t process_read(struct process *p, char *to, size_t size)
{
    if (p->pipe < 0) return 0;
    ssize_t got = read(p->pipe, to, size);
    if (got > 0) return (size_t)got;
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(p->pipe);
        p->pipe = -1;
    }
    return 0;
}

bool process_ended(struct process *p, int *code)
{
    int how = 0;
    if (!p->id || waitpid(p->id, &how, WNOHANG) != p->id) return false;
    *code = WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
    p->id = 0;
    return true;
}

void process_close(struct process *p)
{
    if (p->pipe >= 0) close(p->pipe);
    p->pipe = -1;
}

void process_stop(const struct process *p)
{
    if (p->id) kill(p->id, SIGTERM);
}
