// Where the wall time and the work go: by phase of the program, and in each by what the host did.
// Always kept: a change costs one look at the clock.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// What the host is at. HOST_OWN is all the rest; HOST_DEVICE is submitting and waiting.
enum host { HOST_OWN, HOST_RECORD, HOST_COMPILE, HOST_DEVICE, HOST_MEMORY, HOST_COUNT };

struct work { // of dispatches that were submitted
    double flops, bytes;
    uint64_t dispatches, submits;
};

struct phase {
    const char *name;
    double seconds[HOST_COUNT];
    double timed; // of HOST_DEVICE: in dispatches, by timestamps; with --profile only
    struct work work;
};

enum { PHASES_MAX = 32 };

struct account {
    double started, since; // the clock at the start, and when phase or host last changed
    enum host host;
    uint32_t phase, count;
    struct phase phases[PHASES_MAX]; // [0]: whatever has no name
};

// Time from `started` on belongs to the phase "start".
void account_start(struct account *account, double started);

// From now on time and work belong to `name` (a literal). Returns the phase before, to go back to.
const char *account_phase(struct account *account, const char *name);
const char *account_now(const struct account *account); // the phase's name
// From now on the host is at `host`. Returns what it was at before, to go back to.
enum host account_host(struct account *account, enum host host);

void account_work(struct account *account, const struct work *work);
void account_timed(struct account *account, double seconds);

void account_flush(struct account *account); // brings the current phase up to now

// A phase by name, all zero if it was never entered; and the sum of its seconds.
struct phase account_find(const struct account *account, const char *name);
double phase_seconds(const struct phase *phase);
struct work account_total(const struct account *account); // of all phases
