// Recording and running dispatches. Barriers are derived from what each dispatch says it reads
// and writes; submits are cut so that none keeps the device busy for long.
#pragma once
#include "vk/device.h"

enum { CMD_POINTERS_MAX = 10, CMD_PUSH_MAX = 128 };

struct dispatch {
    const struct shader *shader;
    const char *name;      // of the operator, for the profile
    const char *access;    // one letter a pointer, in order: r reads, w writes, m both
    const void *push;      // the arguments; its first strlen(access) members are addresses
    uint32_t push_bytes;
    uint32_t local; // constant_id 0: threads a workgroup, where the shader asks for it
    uint32_t groups[3];
    double flops, bytes; // of this dispatch
};

struct segment; // one command buffer with its fence

// A recording. It is run once (cmd_run_once) or kept and replayed (cmd_end, then cmd_replay).
struct cmd {
    struct device *dev;
    struct segment *segments;
    size_t segment_count, segment_capacity, waited;
    double cost;       // flops + bytes in the open segment
    double total_cost; // of the whole recording
    uint32_t epoch;    // device-wide number of the last barrier
    uint64_t serial;   // of this recording, on this device
    const char *part;  // of the computation, for messages, as cmd_part said; NULL: none
    uint32_t number;
    bool open, failed, replayed;
};

// `replayed`: keep the pieces for cmd_replay instead of running them as they fill.
void cmd_start(struct cmd *cmd, struct device *dev, bool replayed);
void cmd_free(struct cmd *cmd); // waits for what is running

// What is recorded from now on belongs to `part` (a literal), such as "layer", and its number;
// CMD_NO_NUMBER: there is only one.
#define CMD_NO_NUMBER UINT32_MAX
void cmd_part(struct cmd *cmd, const char *part, uint32_t number);

// Records one dispatch. A failure is kept and returned by cmd_end or cmd_run_once, so that callers
// record without looking.
void cmd_dispatch(struct cmd *cmd, const struct dispatch *dispatch);

// Has the host do something before what is recorded from now on is submitted, at every run: first
// it waits for the pieces before `after`, then it calls act, whose failure ends the run. Pieces
// behind those may still be running.
typedef bool cmd_act(void *user, uint32_t number);
void cmd_host(struct cmd *cmd, size_t after, cmd_act *act, void *user, uint32_t number);
// How many pieces there are, the open one with them: what is recorded so far is in these.
size_t cmd_pieces(const struct cmd *cmd);

// Runs what has been recorded, waits for it and empties the recording.
bool cmd_run_once(struct cmd *cmd);

// Closes a recording for replay; runs it and waits, as often as wanted.
bool cmd_end(struct cmd *cmd);
bool cmd_replay(struct cmd *cmd);
